import type { Logger } from '../logger.ts';
import type { Db } from '../store/statement.ts';
import { snapshotLoader } from './load-snapshot.ts';
import { createSnapshots, type Snapshots } from './snapshot.ts';

/** The snapshots of the policy's environments. */
export interface PolicySnapshots extends Snapshots {
  /** Reloads every environment after the active policy has changed. Environments that it lacks are no longer served. */
  reload(environments: readonly string[]): Promise<void>;
  /** Retries environments that failed to load. */
  loadMissing(environments: readonly string[]): Promise<void>;
}

/** Opens the snapshots of the given environments. */
export async function openSnapshots(deps: {
  read: Db;
  log: Logger;
  environments: readonly string[];
}): Promise<PolicySnapshots> {
  const snapshots = createSnapshots({ load: snapshotLoader(deps.read), log: deps.log });
  let named: ReadonlySet<string> = new Set();
  const load = async (environments: readonly string[]) => {
    for (const environment of environments) await snapshots.refresh(environment);
  };
  const reload = async (environments: readonly string[]) => {
    // One that comes back is not served before it is loaded: what is kept of it is from before it went.
    const kept = new Set(environments.filter((environment) => named.has(environment)));
    const wanted = new Set(environments);
    named = kept;
    for (const environment of wanted) {
      await load([environment]);
      if (named === kept) kept.add(environment);
    }
  };
  const current = (environment: string) =>
    named.has(environment) ? snapshots.current(environment) : undefined;
  await reload(deps.environments);
  return {
    ...snapshots,
    current,
    reload,
    loadMissing: (environments) =>
      load(environments.filter((environment) => current(environment) === undefined)),
  };
}
