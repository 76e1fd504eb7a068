import type { ScheduledJob } from './scheduler.ts';

/** Looks for what other brokers on the same store have revoked. */
export function revocationsOfOthers(refresh: () => Promise<void>): ScheduledJob {
  return { name: 'revocations', writes: false, alone: false, run: refresh };
}
