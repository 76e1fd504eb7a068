import { randomFillSync } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';

/** The number of bytes fetched from the system at once. Single calls would dominate the cost of an id or a salt. */
const POOL_BYTES = 4096;

let pool = Buffer.alloc(POOL_BYTES);
let taken = POOL_BYTES;

/** Random bytes from a cryptographically strong source; no byte is returned twice. @param count at most 256 */
export function randomBytesOf(count: number): Buffer {
  if (taken + count > POOL_BYTES) {
    // A new buffer each time: returned bytes are never overwritten.
    pool = randomFillSync(Buffer.alloc(POOL_BYTES));
    taken = 0;
  }
  taken += count;
  return pool.subarray(taken - count, taken);
}

/** A UUID version 7 for that time. @see RFC 9562 section 5.7 */
export function newId(nowMs: number): string {
  return uuidv7({ msecs: nowMs, rng: () => randomBytesOf(16) });
}
