import { batchOf } from './batch.ts';
import { findMeta, setMeta } from './installation.ts';
import type { Tx } from './statement.ts';

/*
 * What is over, for everything that deletes. A row that is deleted can protect nothing any more: a single-use token could
 * be used again, and a revoked one would be accepted. A wall clock that is ahead for a moment must therefore not delete.
 */

/**
 * How long the wall clock must have run without a jump before anything is deleted. Longer than an accepted token lives: if
 * the clock was wrong all that time, what is deleted protects against no token that is still valid by the right one.
 */
export const STEADY_MS = 25 * 60 * 60 * 1000;
/** A longer step between two looks is a jump. Downtime cannot be told apart from one. */
export const MAX_STEP_MS = 60 * 60 * 1000;
/** A clock that is corrected by so little has not jumped. */
const MAX_CORRECTION_MS = 5000;

/** The meta key of the last look at the clock. */
const LOOK = 'clock_look';

/** The last look at the wall clock, and since when it has run without a jump. */
interface Look {
  at_ms: number;
  steady_since_ms: number;
}

/**
 * The time before which everything is over: an hour before both the wall clock and the last record, if the wall clock has
 * run without a jump for {@link STEADY_MS}. Each call is also a look at the clock, so it must be called at least once in
 * {@link MAX_STEP_MS}.
 *
 * @returns epoch milliseconds, or null if nothing may be deleted now
 */
export async function overBefore(tx: Tx): Promise<number | null> {
  const { clock, head } = batchOf(tx);
  const nowMs = clock();
  const steadySinceMs = steadySince(await findMeta(tx, LOOK), nowMs);
  const look: Look = { at_ms: nowMs, steady_since_ms: steadySinceMs };
  await setMeta(tx, LOOK, JSON.stringify(look));
  if (nowMs - steadySinceMs < STEADY_MS) return null;
  // The hour hides jumps that were too short to be seen.
  return Math.min(nowMs, head.last_ms) - MAX_STEP_MS;
}

function steadySince(text: string | null, nowMs: number): number {
  if (text === null) return nowMs;
  const { at_ms, steady_since_ms } = JSON.parse(text) as Look;
  const stepMs = nowMs - at_ms;
  return stepMs < -MAX_CORRECTION_MS || stepMs > MAX_STEP_MS ? nowMs : steady_since_ms;
}
