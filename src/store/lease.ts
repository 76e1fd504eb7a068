import { randomUUID } from 'node:crypto';
import { findMeta, removeMeta, setMeta } from './installation.ts';
import type { Db } from './statement.ts';
import type { Writer } from './writer.ts';

/*
 * Scheduled work has one holder among the brokers of an installation. Each broker measures with a clock of its own, and none
 * compares the time of two machines: a lease that its holder has not renewed while another one watched is free.
 *
 * The lease is economy, not safety. A broker that was paused may still believe in it for a moment. What it then begins is
 * decided again under the lock of the log's head, as every write is: it finds nothing due, or does what was due. So a lost lease
 * costs work, and nothing is done twice.
 */

/** The meta key of the lease: its holder, and a mark that is new with each renewal. */
const LEASE = 'schedule_lease';
/** How long a lease is valid that nobody renews. */
const VALID_MS = 15_000;
/** The age at which the holder renews it. */
const RENEWED_AFTER_MS = 3_000;

/** The right of one broker to do the scheduled work. */
export interface Lease {
  /** Whether this broker has it. Takes it if it is free, and renews it in time. */
  holds(): Promise<boolean>;
  /** Leaves it to the others. */
  release(): Promise<void>;
}

/** Opens the lease. @param deps.nowMs a clock that nobody sets */
export function openLease({
  writer,
  read,
  nowMs = () => performance.now(),
}: {
  writer: Pick<Writer, 'write'>;
  read: Db;
  nowMs?: () => number;
}): Lease {
  /** What this broker has written last, and when it began to. */
  let own: { value: string; atMs: number } | null = null;
  /** What was found last, and since when. */
  let found: { value: string | null; sinceMs: number } | null = null;

  const isOlder = (sinceMs: number, ageMs: number) => nowMs() - sinceMs >= ageMs;

  async function take(present: string | null): Promise<boolean> {
    const fresh = { value: randomUUID(), atMs: nowMs() };
    const isTaken = await writer.write(async (tx) => {
      if ((await findMeta(tx, LEASE)) !== present) return false;
      await setMeta(tx, LEASE, fresh.value);
      return true;
    });
    own = isTaken ? fresh : null;
    return isTaken;
  }

  async function look(): Promise<boolean> {
    if (own !== null && !isOlder(own.atMs, RENEWED_AFTER_MS)) return true;
    const present = await findMeta(read, LEASE);
    if (found === null || found.value !== present) found = { value: present, sinceMs: nowMs() };
    const isFree = present === null || present === own?.value || isOlder(found.sinceMs, VALID_MS);
    if (isFree) return take(present);
    own = null;
    return false;
  }

  /** Who asks meanwhile gets the same answer: of two renewals at once, the second would take its own lease for that of another. */
  let looking: Promise<boolean> | null = null;

  return {
    holds: () => {
      looking ??= look().finally(() => {
        looking = null;
      });
      return looking;
    },
    release: async () => {
      const value = own?.value;
      if (value === undefined) return;
      own = null;
      await writer.write(async (tx) => {
        if ((await findMeta(tx, LEASE)) === value) await removeMeta(tx, LEASE);
      });
    },
  };
}
