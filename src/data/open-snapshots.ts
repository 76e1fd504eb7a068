import type { Logger } from '../logger.ts';
import type { Db } from '../store/statement.ts';
import { snapshotLoader } from './load-snapshot.ts';
import { createSnapshots, type Snapshots } from './snapshot.ts';

/** The snapshots, and how they follow the environments of the policy. */
export interface PolicySnapshots extends Snapshots {
  /** Loads every environment anew: another policy is active. */
  reload(environments: readonly string[]): Promise<void>;
  /** Loads those that could not be loaded before. */
  loadMissing(environments: readonly string[]): Promise<void>;
}

/** Opens the snapshots of some environments. */
export async function openSnapshots(deps: {
  read: Db;
  log: Logger;
  environments: readonly string[];
}): Promise<PolicySnapshots> {
  const snapshots = createSnapshots({ load: snapshotLoader(deps.read), log: deps.log });
  const reload = async (environments: readonly string[]) => {
    for (const environment of environments) await snapshots.refresh(environment);
  };
  await reload(deps.environments);
  return {
    ...snapshots,
    reload,
    loadMissing: (environments) =>
      reload(environments.filter((environment) => snapshots.current(environment) === undefined)),
  };
}
