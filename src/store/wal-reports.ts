import type { Logger } from '../logger.ts';
import type { CheckpointReport } from './wal-checkpoints.ts';

/** How often a checkpoint that is still not possible is logged. */
const REPEAT_MS = 60_000;
/** What blocks it for less may be a read of the broker itself. The checkpoint is tried again each second. */
const OWN_READS_MS = 5000;

/**
 * Logs checkpoints: one that failed at once, one that another program blocks after some seconds, and both again each minute
 * while it lasts.
 */
export function logWalCheckpoints(log: Logger): (report: CheckpointReport) => void {
  let nextMs = 0;
  return ({ outcome, ...report }) => {
    if (outcome === 'done') {
      nextMs = 0;
      log.info(report, 'the write-ahead log was copied and begun anew');
      return;
    }
    if (report.blocked_ms < (outcome === 'failed' ? nextMs : Math.max(nextMs, OWN_READS_MS))) return;
    nextMs = report.blocked_ms + REPEAT_MS;
    if (outcome === 'failed') log.error(report, 'the write-ahead log could not be copied');
    else log.warn(report, 'another program reads the database, so the write-ahead log grows');
  };
}
