import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogFault } from '../../src/tree/fault.ts';
import { EMPTY_FRONTIER, frontierText, leafHash, rootOf, withLeaf } from '../../src/tree/hashes.ts';
import {
  consistencyProof,
  inclusionProof,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../src/tree/proofs.ts';
import { auditPath, continuation, treeHash } from '../support/tree-oracle.ts';
import { flipped, frontierOf, leavesOf, readFrom } from './samples.ts';

const SIZES = 40;
const leaves = leavesOf(SIZES);
const read = readFrom(leaves);

/** A tree size, and a smaller number. */
const sizes = fc
  .integer({ min: 1, max: 300 })
  .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 0, max: size - 1 })));

describe('a tree', () => {
  it('has the root of the oracle at every size, and its frontier survives as text', () => {
    let frontier = EMPTY_FRONTIER;
    for (const [size, leaf] of leaves.entries()) {
      expect(rootOf(frontier)).toEqual(treeHash(leaves.slice(0, size)));
      expect(frontierText.read(frontierText.write(frontier), size)).toEqual(frontier);
      frontier = withLeaf(frontier, leafHash(leaf));
    }
  });

  it('is not continued from the frontier of another size', () => {
    const text = frontierText.write(frontierOf(leavesOf(7)));
    expect(() => frontierText.read(text, 8)).toThrow('does not fit');
  });

  it('has proofs like those of the oracle, for every leaf of every size', async () => {
    for (let size = 1; size <= SIZES; size += 1) {
      const part = leaves.slice(0, size);
      const root = treeHash(part);
      expect(await treeRoot(size, read)).toEqual(root);
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(index, size, read);
        expect(proof).toEqual(auditPath(index, part));
        verifyInclusion({ index, size, leaf: leafHash(leaves[index] as Buffer), root, proof });
      }
    }
  });

  it('is shown to continue every earlier size', async () => {
    for (let to = 1; to <= SIZES; to += 1) {
      const part = leaves.slice(0, to);
      for (let from = 1; from <= to; from += 1) {
        const proof = await consistencyProof(from, to, read);
        expect(proof).toEqual(continuation(from, part));
        const former = { size: from, root: treeHash(leaves.slice(0, from)) };
        verifyConsistency({ from: former, to: { size: to, root: treeHash(part) }, proof });
      }
    }
  });
});

describe('a wrong proof', () => {
  it('of a leaf is found, whatever is changed', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), fc.nat(), async ([size, index], bit, choice) => {
        const all = leavesOf(size);
        const proof = await inclusionProof(index, size, readFrom(all));
        const good = { index, size, leaf: leafHash(all[index] as Buffer), root: treeHash(all), proof };
        verifyInclusion(good);
        const other = choice % size === index ? (index + 1) % size : choice % size;
        const wrong = [
          { ...good, leaf: flipped(good.leaf, bit) },
          { ...good, root: flipped(good.root, bit) },
          { ...good, proof: [...proof, good.leaf] },
          { ...good, proof: [good.leaf, ...proof] },
          ...(size === 1
            ? []
            : [
                { ...good, proof: proof.slice(0, -1) },
                { ...good, index: other },
              ]),
          ...proof.map((hash, at) => ({ ...good, proof: proof.with(at, flipped(hash, bit)) })),
          { ...good, index: size },
          { ...good, index: 2 ** 53 },
          { ...good, index: 0.5 },
          { ...good, index: -1 },
          { ...good, size: Number.MAX_VALUE },
        ];
        for (const given of wrong) expect(() => verifyInclusion(given)).toThrow(LogFault);
      }),
      { numRuns: 25 },
    );
  });

  it('of a continuation is found, whatever is changed', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async ([to, first], bit) => {
        const from = first + 1;
        const all = leavesOf(to);
        const proof = await consistencyProof(from, to, readFrom(all));
        const good = {
          from: { size: from, root: treeHash(all.slice(0, from)) },
          to: { size: to, root: treeHash(all) },
          proof,
        };
        verifyConsistency(good);
        const wrong = [
          { ...good, from: { ...good.from, root: flipped(good.from.root, bit) } },
          { ...good, to: { ...good.to, root: flipped(good.to.root, bit) } },
          { ...good, proof: [...proof, good.to.root] },
          { ...good, from: { ...good.from, size: to + 1 } },
          { ...good, to: { ...good.to, size: 2 ** 53 } },
          ...(proof.length === 0 ? [] : [{ ...good, proof: proof.slice(1) }]),
          ...proof.map((hash, at) => ({ ...good, proof: proof.with(at, flipped(hash, bit)) })),
        ];
        for (const given of wrong) expect(() => verifyConsistency(given)).toThrow(LogFault);
      }),
      { numRuns: 25 },
    );
  });

  it('is not made for what does not exist', async () => {
    await expect(inclusionProof(5, 5, read)).rejects.toThrow('there is no leaf 5 in a log with 5 leaves');
    await expect(inclusionProof(2 ** 53, 2 ** 54, read)).rejects.toThrow('is not a number of leaves');
    await expect(consistencyProof(6, 5, read)).rejects.toThrow('cannot continue');
    await expect(consistencyProof(0, 5, read)).rejects.toThrow('nothing to prove');
  });
});
