import type { Logger } from '../logger.ts';
import type { Db } from '../store/statement.ts';
import { snapshotLoader } from './load-snapshot.ts';
import { createSnapshots, type Snapshots } from './snapshot.ts';

/** The snapshots of the policy's environments. */
export interface FollowingSnapshots extends Snapshots {
  /** Reloads every environment after the active policy has changed. */
  reload(environments: readonly string[]): Promise<void>;
  /** Retries environments that failed to load. */
  loadMissing(environments: readonly string[]): Promise<void>;
}

/** Opens the snapshots of the given environments. */
export async function openSnapshots(deps: {
  read: Db;
  log: Logger;
  environments: readonly string[];
}): Promise<FollowingSnapshots> {
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
