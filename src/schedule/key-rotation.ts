import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ScheduledJob } from './scheduler.ts';

const EVERY_MS = 10 * 60 * 1000;
/** The delay after a failed rotation. It is long because each refusal is recorded. */
const RETRY_MS = 60 * 60 * 1000;

/** Rotates the signing key when it is due. */
export function keyRotation(deps: {
  /** @returns the new key's id, or null if no rotation was due */
  rotateDueKey: () => Promise<string | null>;
  clock: Clock;
  log: Logger;
}): ScheduledJob {
  const { rotateDueKey, clock, log } = deps;
  let againMs = 0;
  return {
    name: 'key rotation',
    writes: true,
    alone: true,
    run: async () => {
      const nowMs = clock();
      if (nowMs < againMs) return;
      againMs = nowMs + EVERY_MS;
      try {
        const kid = await rotateDueKey();
        if (kid !== null) log.info({ kid }, 'rotated the signing key');
      } catch (error) {
        againMs = nowMs + RETRY_MS;
        log.warn({ err: error }, 'the signing key is overdue for rotation');
      }
    },
  };
}
