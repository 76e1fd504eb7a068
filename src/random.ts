import { randomFillSync } from 'node:crypto';

/** So many bytes are asked of the system at once: one by one, that costs more than all else about an id or a salt. */
const POOL_BYTES = 4096;

let pool = Buffer.alloc(POOL_BYTES);
let taken = POOL_BYTES;

/** Random bytes from a cryptographically strong source; each is given once. @param count at most 256 */
export function randomBytesOf(count: number): Buffer {
  if (taken + count > POOL_BYTES) {
    // A new one each time: what was given out is never overwritten.
    pool = randomFillSync(Buffer.alloc(POOL_BYTES));
    taken = 0;
  }
  taken += count;
  return pool.subarray(taken - count, taken);
}
