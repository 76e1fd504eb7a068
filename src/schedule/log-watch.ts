import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ScheduledJob } from './scheduler.ts';

const LOOK_EVERY_MS = 10_000;
const COMPARE_EVERY_MS = 10 * 60 * 1000;

/** Looks at the broker's own log, and compares it with where it is published. */
export function logWatch(deps: {
  look: () => Promise<void>;
  compare: () => Promise<void>;
  clock: Clock;
  log: Pick<Logger, 'error'>;
}): ScheduledJob {
  const { look, compare, clock, log } = deps;
  // The start has compared.
  let comparedMs = clock();
  let lookedMs = Number.NEGATIVE_INFINITY;
  let comparing: Promise<void> | null = null;
  return {
    name: 'log watch',
    writes: false,
    alone: false,
    run: async () => {
      const nowMs = clock();
      if (Math.abs(nowMs - comparedMs) >= COMPARE_EVERY_MS) {
        comparedMs = nowMs;
        // No other job waits for an address.
        comparing ??= compare()
          .catch((error: unknown) => {
            log.error({ err: error }, 'the log could not be compared with where it is published');
          })
          .finally(() => {
            comparing = null;
          });
      }
      if (Math.abs(nowMs - lookedMs) < LOOK_EVERY_MS) return;
      lookedMs = nowMs;
      await look();
    },
    rest: async () => {
      await comparing;
    },
  };
}
