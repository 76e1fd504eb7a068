import type { Clock } from '../clock.ts';
import { DAY_MS } from '../moment.ts';
import type { ScheduledJob } from './scheduler.ts';

/** How often it looks whether something has grown old. */
const EVERY_MS = 60 * 60 * 1000;

/** Takes what has grown old out of the database, one piece at a time. */
export function retention(deps: {
  /** After how many days something is taken out, and what takes out its next piece: null if there is none. */
  tasks: readonly { days: number; next: (beforeMs: number) => Promise<object | null> }[];
  clock: Clock;
  log: { info(fields: object, message: string): void };
}): ScheduledJob {
  const { tasks, clock, log } = deps;
  let lookedMs = 0;
  let hasMore = false;
  return {
    name: 'retention',
    writes: true,
    alone: true,
    hasMore: () => hasMore,
    run: async () => {
      const nowMs = clock();
      if (!hasMore && nowMs >= lookedMs && nowMs - lookedMs < EVERY_MS) return;
      lookedMs = nowMs;
      // What fails is tried again after the usual time.
      hasMore = false;
      for (const { days, next } of tasks) {
        const taken = await next(nowMs - days * DAY_MS);
        if (taken === null) continue;
        log.info(taken, 'old data was taken out of the database');
        hasMore = true;
      }
    },
  };
}
