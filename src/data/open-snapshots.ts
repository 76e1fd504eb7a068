import type { Logger } from '../logger.ts';
import { createSnapshots, type LoadSnapshot, type Snapshots } from './snapshot.ts';

/** The snapshots of the policy's environments. */
export interface PolicySnapshots extends Snapshots {
  /** Reloads every environment after the active policy has changed. Environments that it lacks are no longer served. */
  reload(environments: readonly string[]): Promise<void>;
  /** Retries environments that failed to load. */
  loadMissing(environments: readonly string[]): Promise<void>;
  /**
   * Reloads the environments that others have changed.
   *
   * @param stored the version of each environment in the store
   * @throws Error if one cannot be loaded
   */
  catchUp(stored: ReadonlyMap<string, number>): Promise<void>;
}

/** Opens the snapshots of some environments. */
export async function openSnapshots(deps: {
  load: LoadSnapshot;
  log: Logger;
  environments: readonly string[];
}): Promise<PolicySnapshots> {
  const snapshots = createSnapshots(deps);
  /** The environments that are served. The snapshot of any other is from before it left the policy. */
  let served = new Set<string>();
  const load = async (environments: readonly string[], into: Set<string>) => {
    for (const environment of environments) {
      if (await snapshots.refresh(environment)) into.add(environment);
    }
  };
  const reload = async (environments: readonly string[]) => {
    served = new Set(environments.filter((environment) => served.has(environment)));
    await load(environments, served);
  };
  const current = (environment: string) =>
    served.has(environment) ? snapshots.current(environment) : undefined;
  await reload(deps.environments);
  return {
    ...snapshots,
    current,
    reload,
    loadMissing: (environments) =>
      load(
        environments.filter((environment) => current(environment) === undefined),
        served,
      ),
    catchUp: async (stored) => {
      for (const environment of served) {
        const { version = 0 } = snapshots.current(environment) ?? {};
        if ((stored.get(environment) ?? 0) <= version) continue;
        if (!(await snapshots.refresh(environment))) throw new Error(`could not load ${environment}`);
      }
    },
  };
}
