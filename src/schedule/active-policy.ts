import type { ScheduledJob } from './scheduler.ts';

/** Looks for a policy that another broker on the same store has activated, and for environments that are not loaded. */
export function activePolicy(deps: {
  refresh: () => Promise<void>;
  loadMissing: () => Promise<void>;
}): ScheduledJob {
  return {
    name: 'active policy',
    writes: false,
    alone: false,
    run: async () => {
      await deps.refresh();
      await deps.loadMissing();
    },
  };
}
