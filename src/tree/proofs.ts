import { LogFault } from './fault.ts';
import { EMPTY_ROOT, HASH_BYTES, joinSubtrees, nodeHash } from './hashes.ts';

/** A complete subtree: that of the `index`-th group of `2 ** height` leaves. */
export interface Subtree {
  height: number;
  index: number;
}

/** Reads the roots of complete subtrees of a tree, in the given order. */
export type ReadSubtrees = (subtrees: readonly Subtree[]) => Promise<readonly Buffer[]>;

/** Leaves `from` (inclusive) to `to` (exclusive). */
type Range = readonly [from: number, to: number];

/**
 * The inclusion proof of a leaf: the siblings on its way to the root, lowest first.
 *
 * @throws LogFault if there is no such leaf
 */
export async function inclusionProof(index: number, size: number, read: ReadSubtrees): Promise<Buffer[]> {
  assertLeaf(index, size);
  return hashRanges(inclusionRanges(index, [0, size]), read);
}

/**
 * The proof that a tree is the beginning of a later one.
 *
 * @throws LogFault if the first tree is not the smaller one, or is empty: then there is nothing to prove
 */
export async function consistencyProof(from: number, to: number, read: ReadSubtrees): Promise<Buffer[]> {
  assertOrder(from, to);
  return hashRanges(consistencyRanges(from, [0, to], true), read);
}

/** The root of the first `size` leaves. */
export async function treeRoot(size: number, read: ReadSubtrees): Promise<Buffer> {
  if (size === 0) return EMPTY_ROOT;
  const [root] = await hashRanges([[0, size]], read);
  return root as Buffer;
}

/**
 * Verifies an inclusion proof.
 *
 * @throws LogFault if it does not prove that the leaf is at that index of the tree with that root
 * @see RFC 9162 section 2.1.3.2
 */
export function verifyInclusion(given: {
  index: number;
  size: number;
  leaf: Buffer;
  root: Buffer;
  proof: readonly Buffer[];
}): void {
  const { index, size, proof } = given;
  assertLeaf(index, size);
  if (given.leaf.length !== HASH_BYTES) throw new LogFault('the hash of the leaf is malformed');
  let at = index;
  let last = size - 1;
  let hash = given.leaf;
  for (const sibling of proof) {
    if (last === 0) throw new LogFault(`the inclusion proof of leaf ${index} has too many hashes`);
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0) throw new LogFault(`the inclusion proof of leaf ${index} has too few hashes`);
  if (!hash.equals(given.root))
    throw new LogFault(
      `the proof does not show that this leaf is number ${index} of the ${size} leaves of the log`,
    );
}

/**
 * Verifies a consistency proof.
 *
 * @throws LogFault if it does not prove that the first tree is the beginning of the second
 * @see RFC 9162 section 2.1.4.2
 */
export function verifyConsistency(given: {
  from: { size: number; root: Buffer };
  to: { size: number; root: Buffer };
  proof: readonly Buffer[];
}): void {
  const { from, to, proof } = given;
  assertOrder(from.size, to.size);
  const forked = new LogFault(
    `the log with ${to.size} leaves is not a continuation of the log with ${from.size} leaves`,
  );
  if (from.size === to.size) {
    if (proof.length > 0) throw new LogFault('the consistency proof of two equal sizes must be empty');
    if (!from.root.equals(to.root)) throw forked;
    return;
  }
  const [first, ...rest] = isPowerOfTwo(from.size) ? [from.root, ...proof] : proof;
  if (first === undefined) throw new LogFault('the consistency proof has too few hashes');
  let at = from.size - 1;
  let last = to.size - 1;
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  let [former, later] = [first, first];
  for (const hash of rest) {
    if (last === 0) throw new LogFault('the consistency proof has too many hashes');
    if (at % 2 === 1 || at === last) {
      [former, later] = [nodeHash(hash, former), nodeHash(hash, later)];
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      later = nodeHash(later, hash);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0) throw new LogFault('the consistency proof has too few hashes');
  if (!former.equals(from.root) || !later.equals(to.root)) throw forked;
}

/** The ranges beside the way from a leaf to the root of a range, lowest first. */
function inclusionRanges(index: number, [from, to]: Range): Range[] {
  if (to - from <= 1) return [];
  const middle = from + largestPowerBelow(to - from);
  return index < middle
    ? [...inclusionRanges(index, [from, middle]), [middle, to]]
    : [...inclusionRanges(index, [middle, to]), [from, middle]];
}

/** @param isKnown whether the verifier knows the hash of the range, because it is the root of the first tree */
function consistencyRanges(size: number, [from, to]: Range, isKnown: boolean): Range[] {
  if (size === to) return isKnown ? [] : [[from, to]];
  const middle = from + largestPowerBelow(to - from);
  return size <= middle
    ? [...consistencyRanges(size, [from, middle], isKnown), [middle, to]]
    : [...consistencyRanges(size, [middle, to], false), [from, middle]];
}

async function hashRanges(ranges: readonly Range[], read: ReadSubtrees): Promise<Buffer[]> {
  const parts = ranges.map(subtreesOf);
  const roots = [...(await read(parts.flat()))];
  return parts.map((part) => joinSubtrees(roots.splice(0, part.length)) as Buffer);
}

/** The complete subtrees of a range that begins at a multiple of its largest one, largest first. */
function subtreesOf([from, to]: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  let at = from;
  while (at < to) {
    let height = 0;
    while (at + 2 ** (height + 1) <= to) height += 1;
    subtrees.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return subtrees;
}

function assertLeaf(index: number, size: number): void {
  assertCount(index);
  assertCount(size);
  if (index >= size) throw new LogFault(`there is no leaf ${index} in a log with ${size} leaves`);
}

function assertOrder(from: number, to: number): void {
  assertCount(from);
  assertCount(to);
  if (from === 0) throw new LogFault('every log continues an empty one, so there is nothing to prove');
  if (from > to) throw new LogFault(`a log with ${to} leaves cannot continue one with ${from} leaves`);
}

function assertCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) throw new LogFault(`${count} is not a number of leaves`);
}

function largestPowerBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

function isPowerOfTwo(count: number): boolean {
  return largestPowerBelow(count) * 2 === count || count === 1;
}

function half(count: number): number {
  return Math.floor(count / 2);
}
