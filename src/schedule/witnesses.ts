import type { Clock } from '../clock.ts';
import type { ScheduledJob } from './scheduler.ts';

/** How often a log that grows is sent to its witnesses. */
const EVERY_MS = 10_000;
/** How often one that does not grow is: the cosignatures stay younger than that. */
const IDLE_MS = 5 * 60 * 1000;

/** Sends the checkpoint to the witnesses. */
export function witnessJob({
  witnesses,
  size,
  clock,
}: {
  witnesses: { readonly isEmpty: boolean; submit(): Promise<void> };
  /** The size of the log. */
  size: () => Promise<number>;
  clock: Clock;
}): ScheduledJob {
  let sent = { size: -1, at_ms: Number.NEGATIVE_INFINITY };
  let sending: Promise<void> | null = null;
  return {
    name: 'witnesses',
    // A cosignature is kept by a write.
    writes: true,
    // Each broker tells what it knows of the witnesses.
    alone: false,
    run: async () => {
      const nowMs = clock();
      const passedMs = Math.abs(nowMs - sent.at_ms);
      if (witnesses.isEmpty || sending !== null || passedMs < EVERY_MS) return;
      const present = await size();
      if (present === sent.size && passedMs < IDLE_MS) return;
      sent = { size: present, at_ms: nowMs };
      // No other job waits for a witness.
      sending = witnesses.submit().finally(() => {
        sending = null;
      });
    },
    rest: async () => {
      await sending;
    },
  };
}
