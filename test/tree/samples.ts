import { EMPTY_FRONTIER, type Frontier, leafHash, withLeaf } from '../../src/tree/hashes.ts';
import type { Subtree } from '../../src/tree/proofs.ts';
import { treeHash } from '../support/tree-oracle.ts';

/** Different leaves. */
export function leavesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`leaf ${index}`));
}

/** The frontier of a tree that has grown leaf by leaf. */
export function frontierOf(leaves: readonly Buffer[]): Frontier {
  return leaves.reduce((frontier, leaf) => withLeaf(frontier, leafHash(leaf)), EMPTY_FRONTIER);
}

/** Reads the roots of subtrees from all leaves, as the oracle computes them. */
export function readFrom(leaves: readonly Buffer[]) {
  return async (subtrees: readonly Subtree[]): Promise<Buffer[]> =>
    subtrees.map(({ height, index }) => {
      const part = leaves.slice(index * 2 ** height, (index + 1) * 2 ** height);
      if (part.length !== 2 ** height) throw new Error(`subtree ${height}/${index} is not complete`);
      return treeHash(part);
    });
}

/** A copy with one bit of it changed. */
export function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}
