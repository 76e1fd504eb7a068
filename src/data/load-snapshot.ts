import type { FlagDefinition, FlagState } from '../flags/model.ts';
import { initialStateOf } from '../flags/plan.ts';
import { environmentVersion, listFlags } from '../store/flags.ts';
import type { Db } from '../store/statement.ts';
import type { LoadSnapshot } from './snapshot.ts';

/** Reads the complete state of an environment from the store, with its version. */
export function snapshotLoader(read: Db): LoadSnapshot {
  // One read transaction: flags and version belong together.
  return (environment) =>
    read.transaction().execute(async (db) => {
      const version = await environmentVersion(db, environment);
      const rows = await listFlags(db, environment);
      return {
        version,
        flags: rows.map((row) => {
          const definition = JSON.parse(row.definition) as FlagDefinition;
          const state =
            row.state === null ? initialStateOf(definition) : (JSON.parse(row.state) as FlagState);
          return { definition, state, version: row.state_version ?? 0 };
        }),
      };
    });
}
