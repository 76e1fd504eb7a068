import { hash } from 'node:crypto';
import { LogFault } from './fault.ts';

/*
 * The Merkle tree of the log, as pure functions: hashes and roots (RFC 6962 section 2.1), proofs, tiles (C2SP tlog-tiles),
 * signed notes, checkpoints and proof files. Nothing here reads a database, a file or a clock, so that whoever verifies a
 * log runs the code that made it, and nothing else.
 *
 * Indexes count leaves from 0, as the standards do; the place of a record counts from 1. Both are safe integers.
 */

/** The length of a hash (SHA-256). */
export const HASH_BYTES = 32;

/** The first byte of what is hashed for a leaf, and for a node. */
const LEAF = 0;
const NODE = 1;
/** What is hashed is put together here: a new buffer for each hash costs as much as the hash of a short leaf. */
const leafInput = Buffer.alloc(1 + 0xffff, LEAF);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE);

/** The root of a tree without leaves. */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer');

/** The hash of a leaf. */
export function leafHash(data: string | Buffer): Buffer {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  const isLonger = bytes.length >= leafInput.length;
  const input = isLonger ? Buffer.alloc(1 + bytes.length, LEAF) : leafInput;
  bytes.copy(input, 1);
  return hash('sha256', input.subarray(0, 1 + bytes.length), 'buffer');
}

/** The hash of a node over its children. @throws LogFault if one of them is no hash */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES)
    throw new LogFault(
      `a hash has ${left.length === HASH_BYTES ? right.length : left.length} bytes, and not ${HASH_BYTES}`,
    );
  left.copy(nodeInput, 1);
  right.copy(nodeInput, 1 + HASH_BYTES);
  return hash('sha256', nodeInput, 'buffer');
}

/**
 * The right edge of a tree: the roots of the complete subtrees that it consists of, largest first. Whoever has it can add
 * leaves and compute the root, without the leaves before.
 */
export interface Frontier {
  readonly size: number;
  readonly roots: readonly Buffer[];
}

/** The frontier of a tree without leaves. */
export const EMPTY_FRONTIER: Frontier = { size: 0, roots: [] };

/** The frontier after one more leaf. */
export function withLeaf({ size, roots }: Frontier, leaf: Buffer): Frontier {
  const edge = [...roots];
  let root = leaf;
  // Each 1 at the end of the size is a subtree as large as the one that ends with the new leaf.
  for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    const left = edge.pop();
    if (left === undefined) throw new Error('the frontier does not fit its size');
    root = nodeHash(left, root);
  }
  return { size: size + 1, roots: [...edge, root] };
}

/** The root of the tree with that frontier. */
export function rootOf({ roots }: Pick<Frontier, 'roots'>): Buffer {
  return joinSubtrees(roots) ?? EMPTY_ROOT;
}

/** The hash over adjacent complete subtrees, largest first; undefined for none. */
export function joinSubtrees(roots: readonly Buffer[]): Buffer | undefined {
  if (roots.length === 0) return undefined;
  return roots.reduceRight((right, left) => nodeHash(left, right));
}

/** The root of a complete subtree. @param hashes its hashes at one height; their number is a power of two */
export function rootOfComplete(hashes: readonly Buffer[]): Buffer {
  let row = hashes;
  while (row.length > 1) {
    const above: Buffer[] = [];
    for (let i = 0; i + 1 < row.length; i += 2) above.push(nodeHash(row[i] as Buffer, row[i + 1] as Buffer));
    row = above;
  }
  return row[0] ?? EMPTY_ROOT;
}

/** Converts a frontier to text, and back. */
export const frontierText = {
  write: ({ roots }: Frontier): string => Buffer.concat(roots).toString('base64'),
  /** @throws Error if the text is not of a tree of that size */
  read: (text: string, size: number): Frontier => {
    const roots = splitHashes(Buffer.from(text, 'base64'));
    if (roots.length !== countOnes(size))
      throw new Error('the stored frontier of the log does not fit its size');
    return { size, roots };
  },
};

/** Splits bytes into hashes. The number of bytes must be a multiple of {@link HASH_BYTES}. */
export function splitHashes(bytes: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += HASH_BYTES) hashes.push(bytes.subarray(at, at + HASH_BYTES));
  return hashes;
}

function countOnes(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
