import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { environmentVersion } from '../store/flags.ts';
import { readHead } from '../store/log-head.ts';
import { findLatestSnapshot, type SnapshotRow } from '../store/snapshots.ts';
import type { Db } from '../store/statement.ts';

/** How long a version may wait for its publication until somebody should look. */
const LATE_MS = 10_000;

/** How far the publication of an environment is. */
export interface PublicationState {
  /** What was published last, or null if there is nothing of this epoch of the log. */
  row: SnapshotRow | null;
  /** Since when flags are newer than that, as far as this broker knows; null if they are not. */
  sinceMs: number | null;
}

/** What waits for its publication, and since when. */
export interface Delays {
  look(environment: string): Promise<PublicationState>;
  /** Looks at all environments. Every broker does, also one that publishes nothing now. */
  lookAtAll(): Promise<void>;
  /** What is late; empty if all is well. */
  warnings(): { code: string; detail: string }[];
}

/** Creates the delays. */
export function createDelays(deps: {
  read: Db;
  /** The environments that are published. */
  environments: () => readonly string[];
  clock: Clock;
  log: Pick<Logger, 'warn'>;
}): Delays {
  const { read, environments, clock, log } = deps;
  const waiting = new Map<string, { after: string; sinceMs: number; isTold: boolean }>();

  /** @param after what was published last: whatever comes after it makes the delay a new one */
  function note(environment: string, after: string): number {
    const nowMs = clock();
    const known = waiting.get(environment);
    // A clock that was set back says nothing of how long it took.
    const isSame = known?.after === after && known.sinceMs <= nowMs;
    const delay = isSame ? known : { after, sinceMs: nowMs, isTold: false };
    waiting.set(environment, delay);
    if (!delay.isTold && nowMs - delay.sinceMs >= LATE_MS) {
      delay.isTold = true;
      log.warn(
        { environment, since_ms: delay.sinceMs },
        'the present flags of an environment are not published; its pointer is not renewed, and expires',
      );
    }
    return delay.sinceMs;
  }

  async function look(environment: string): Promise<PublicationState> {
    // Before the snapshot: one that is published meanwhile is not behind.
    const version = await environmentVersion(read, environment);
    const latest = await findLatestSnapshot(read, environment);
    const { epoch } = await readHead(read);
    // After a confirmed restore, the record of the former log proves nothing.
    const row = latest?.epoch === epoch ? latest : null;
    if (row !== null && row.version >= version) {
      waiting.delete(environment);
      return { row, sinceMs: null };
    }
    return { row, sinceMs: note(environment, row === null ? `${epoch}` : `${epoch}/${row.place}`) };
  }

  return {
    look,
    lookAtAll: async () => {
      const published = environments();
      for (const environment of waiting.keys())
        if (!published.includes(environment)) waiting.delete(environment);
      for (const environment of published) await look(environment);
    },
    warnings: () => {
      const late = [...waiting.values()].filter(({ sinceMs }) => clock() - sinceMs >= LATE_MS).length;
      // Everybody may read it.
      const detail = `The present flags of ${late} environments are not published as snapshots, and readers get none before they are; the log of the broker says which, and why.`;
      return late === 0 ? [] : [{ code: 'snapshots_late', detail }];
    },
  };
}
