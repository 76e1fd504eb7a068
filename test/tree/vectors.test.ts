import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LogFault } from '../../src/tree/fault.ts';
import { EMPTY_ROOT, rootOf } from '../../src/tree/hashes.ts';
import { parseVerifier } from '../../src/tree/note.ts';
import {
  consistencyProof,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from '../../src/tree/proofs.ts';
import { frontierOf, readFrom } from './samples.ts';

/* Published test vectors: what others agree on about trees, proofs and notes. */

interface Vectors {
  source: string;
  inclusion: {
    name: string;
    leafIdx: number;
    treeSize: number;
    root: string;
    leafHash: string;
    proof: string[] | null;
    wantErr: boolean;
  }[];
  consistency: {
    name: string;
    size1: number;
    size2: number;
    root1: string;
    root2: string;
    proof: string[] | null;
    wantErr: boolean;
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/merkle/vectors.json', import.meta.url), 'utf8'),
) as Vectors;

const bytes = (text: string) => Buffer.from(text, 'base64');

/** Whether a verification finds no fault. Only faults of the log may be thrown. */
function accepts(verify: () => void): boolean {
  try {
    verify();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(LogFault);
    return false;
  }
}

/** The leaves of the reference tests of Certificate Transparency. */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));
/** Its roots, by the number of leaves. */
const ROOTS: readonly (readonly [number, string])[] = [
  [0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  [1, '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
  [2, 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125'],
  [3, 'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77'],
  [5, '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4'],
  [7, 'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c'],
  [8, '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'],
];

describe('the published vectors', () => {
  it('are all there', () => {
    expect([vectors.inclusion.length, vectors.consistency.length]).toEqual([98, 98]);
    expect(vectors.inclusion.filter(({ wantErr }) => !wantErr).length).toBeGreaterThan(0);
    expect(vectors.consistency.filter(({ wantErr }) => !wantErr).length).toBeGreaterThan(0);
  });

  it.each(ROOTS)('the root of %i leaves', (count, root) => {
    expect(rootOf(frontierOf(LEAVES.slice(0, count))).toString('hex')).toBe(root);
  });

  it.each(vectors.inclusion)('inclusion $name', ({ leafIdx, treeSize, root, leafHash, proof, wantErr }) => {
    const given = {
      index: leafIdx,
      size: treeSize,
      root: bytes(root),
      leaf: bytes(leafHash),
      proof: (proof ?? []).map(bytes),
    };
    expect(accepts(() => verifyInclusion(given))).toBe(!wantErr);
  });

  it.each(vectors.consistency)('consistency $name', ({ size1, size2, root1, root2, proof, wantErr }) => {
    const given = {
      from: { size: size1, root: bytes(root1) },
      to: { size: size2, root: bytes(root2) },
      proof: (proof ?? []).map(bytes),
    };
    expect(accepts(() => verifyConsistency(given))).toBe(!wantErr);
  });

  it('are the proofs that are made', async () => {
    const read = readFrom(LEAVES);
    for (const { leafIdx, treeSize, proof, wantErr, leafHash } of vectors.inclusion) {
      if (wantErr || leafHash === '') continue;
      expect(await inclusionProof(leafIdx, treeSize, read)).toEqual((proof ?? []).map(bytes));
    }
    for (const { size1, size2, proof, wantErr } of vectors.consistency) {
      if (wantErr || size2 > LEAVES.length) continue;
      expect(await consistencyProof(size1, size2, read)).toEqual((proof ?? []).map(bytes));
    }
  });

  it('the root of an empty tree', () => {
    expect(rootOf({ roots: [] })).toEqual(EMPTY_ROOT);
  });
});

describe('the note of the specification', () => {
  const key = parseVerifier('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
  const signature = bytes(
    'Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=',
  );

  it('verifies', () => {
    expect(signature.toString('hex', 0, 4)).toBe(key.id);
    expect(key.verify('This is an example message.\n', signature.subarray(4))).toBe(true);
    expect(key.verify('This is another message.\n', signature.subarray(4))).toBe(false);
  });
});
