import type { Clock } from '../clock.ts';
import type { BrokerError } from '../errors.ts';
import type { ClaimedFile } from './file-lock.ts';
import { setMeta } from './installation.ts';
import { FileLost, stoppedBy } from './write-faults.ts';
import type { Writer } from './writer.ts';

/** The meta key of the last write that only found out whether the disk takes writes again. */
const TRIED = 'disk_tried_ms';
/** How often that is tried, however many ask. */
const TRY_EVERY_MS = 1000;

/**
 * Tells why a write would be refused now, or null. While the disk refuses writes, this tries one, so that what waits for it
 * goes on by itself. Whether the database is still where it was is looked at too, because nobody may write for a while.
 */
export function watchFaults(deps: {
  writer: Writer;
  /** The file; none if the database is on a server. */
  claim?: ClaimedFile;
  clock: Clock;
}): () => Promise<BrokerError | null> {
  const { writer, claim, clock } = deps;
  let trying: Promise<unknown> | null = null;
  let triedMs = Number.NEGATIVE_INFINITY;

  async function tryAgain(): Promise<void> {
    const nowMs = performance.now();
    if (trying === null && nowMs - triedMs < TRY_EVERY_MS) return;
    triedMs = nowMs;
    trying ??= writer
      .write((tx) => setMeta(tx, TRIED, String(clock())))
      // What came of it is the writer's to say.
      .catch(() => undefined)
      .finally(() => {
        trying = null;
      });
    await trying;
  }

  return async () => {
    const lost = writer.refusal() === null ? (claim?.lost() ?? null) : null;
    const stopped = lost === null ? null : stoppedBy(new FileLost(lost));
    if (stopped !== null) writer.stop(stopped);
    if (writer.refusal() === null && writer.fault() !== null) await tryAgain();
    return writer.refusal() ?? writer.fault();
  };
}
