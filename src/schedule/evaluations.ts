import type { Clock } from '../clock.ts';
import type { ScheduledJob } from './scheduler.ts';

/** Records who evaluated what, once an interval. */
export function evaluationRecords(deps: {
  flush: () => Promise<void>;
  intervalMs: number;
  clock: Clock;
}): ScheduledJob {
  const { flush, intervalMs, clock } = deps;
  let flushedMs = clock();
  return {
    name: 'evaluations',
    writes: true,
    alone: false,
    run: async () => {
      const nowMs = clock();
      if (Math.abs(nowMs - flushedMs) < intervalMs) return;
      await flush();
      flushedMs = nowMs;
    },
  };
}
