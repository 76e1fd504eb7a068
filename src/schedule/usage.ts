import type { ScheduledJob } from './scheduler.ts';

/** Writes down who has used what since the last look. */
export function usageReport(flush: () => Promise<void>): ScheduledJob {
  return { name: 'usage', writes: true, alone: false, run: flush };
}
