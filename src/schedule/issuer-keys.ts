import type { ScheduledJob } from './scheduler.ts';

/** Keeps the keys of issuers fresh. Does not wait for them: an issuer that hangs must not delay the other jobs. */
export function issuerKeys(refreshDue: () => Promise<void>): ScheduledJob {
  return {
    name: 'issuer keys',
    writes: false,
    alone: false,
    run: async () => {
      refreshDue().catch(() => undefined);
    },
  };
}
