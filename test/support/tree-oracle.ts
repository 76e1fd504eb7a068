import { createHash } from 'node:crypto';

/*
 * The Merkle tree in the recursive words of RFC 6962 section 2.1, over all leaves at once. It uses none of the code that
 * it judges, and knows neither tiles nor frontiers.
 */

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The largest power of two smaller than n. */
function k(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1));
}

/** MTH(D[n]). */
export function treeHash(leaves: readonly Uint8Array[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return sha256(Uint8Array.of(0), first);
  const middle = k(leaves.length);
  return sha256(Uint8Array.of(1), treeHash(leaves.slice(0, middle)), treeHash(leaves.slice(middle)));
}

/** PATH(m, D[n]), section 2.1.1. */
export function auditPath(m: number, leaves: readonly Uint8Array[]): Buffer[] {
  if (leaves.length === 1) return [];
  const middle = k(leaves.length);
  const [left, right] = [leaves.slice(0, middle), leaves.slice(middle)];
  return m < middle
    ? [...auditPath(m, left), treeHash(right)]
    : [...auditPath(m - middle, right), treeHash(left)];
}

/** PROOF(m, D[n]), section 2.1.2. */
export function continuation(m: number, leaves: readonly Uint8Array[]): Buffer[] {
  return subproof(m, leaves, true);
}

function subproof(m: number, leaves: readonly Uint8Array[], b: boolean): Buffer[] {
  const n = leaves.length;
  if (m === n) return b ? [] : [treeHash(leaves)];
  const middle = k(n);
  const [left, right] = [leaves.slice(0, middle), leaves.slice(middle)];
  return m <= middle
    ? [...subproof(m, left, b), treeHash(right)]
    : [...subproof(m - middle, right, false), treeHash(left)];
}

/** The hashes of the tile of a level: each of them over `256 ** level` leaves. C2SP tlog-tiles. */
export function tileHashes(level: number, index: number, leaves: readonly Uint8Array[]): Buffer[] {
  const span = 256 ** level;
  const hashes: Buffer[] = [];
  for (let i = index * 256; i < (index + 1) * 256 && (i + 1) * span <= leaves.length; i += 1)
    hashes.push(treeHash(leaves.slice(i * span, (i + 1) * span)));
  return hashes;
}
