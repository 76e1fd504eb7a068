import { expect, it } from 'vitest';
import { countWrites, WRITE_KINDS, type WriteCount, type WriteKind } from '../support/write-counts.ts';

/**
 * What each kind of write takes. A change of a number is to be meant, and is then written down here: also a smaller one,
 * so that it stays small. Bytes differ by a page or two from run to run.
 */
const TAKEN: Record<WriteKind, Omit<WriteCount, 'keptIn'>> = {
  toggle: { statements: 4, around: 19, evaluations: 1, writtenBytes: 134000, keptBytes: 8700 },
  'toggle with others': { statements: 4, around: 2, evaluations: 1, writtenBytes: 30000, keptBytes: 8900 },
  'toggle with an Idempotency-Key': {
    statements: 6,
    around: 19,
    evaluations: 1,
    writtenBytes: 154000,
    // The answer is kept for repetitions, with the content of the request.
    keptBytes: 13500,
  },
  propose: { statements: 3, around: 15, evaluations: 1, writtenBytes: 117000, keptBytes: 12300 },
  approve: { statements: 8, around: 12, evaluations: 2, writtenBytes: 118000, keptBytes: 17600 },
  apply: { statements: 8, around: 16, evaluations: 1, writtenBytes: 122000, keptBytes: 7200 },
  reject: { statements: 7, around: 12, evaluations: 1, writtenBytes: 94000, keptBytes: 7300 },
  withdraw: { statements: 5, around: 12, evaluations: 1, writtenBytes: 86000, keptBytes: 6700 },
  'approve, refused': { statements: 4, around: 14, evaluations: 4, writtenBytes: 63000, keptBytes: 7000 },
  'exchange a token': { statements: 3, around: 12, evaluations: 1, writtenBytes: 68000, keptBytes: 5800 },
  'read a sensitive flag': {
    statements: 2,
    around: 19,
    evaluations: 6,
    writtenBytes: 65000,
    keptBytes: 5400,
  },
};

const MORE_BYTES = 1.15;

it('takes no more of the store and of the policy than is written down', { timeout: 120_000 }, async () => {
  const counts = await countWrites();
  const exactOf = (of: typeof TAKEN) =>
    WRITE_KINDS.map((kind) => ({
      kind,
      statements: of[kind].statements,
      around: of[kind].around,
      evaluations: of[kind].evaluations,
    }));
  expect(exactOf(counts)).toEqual(exactOf(TAKEN));
  for (const kind of WRITE_KINDS) {
    const { writtenBytes, keptBytes } = counts[kind];
    const expected = TAKEN[kind];
    expect(writtenBytes, `bytes written by: ${kind}`).toBeLessThan(expected.writtenBytes * MORE_BYTES);
    expect(keptBytes, `bytes kept by: ${kind}`).toBeLessThan(expected.keptBytes * MORE_BYTES);
    // Or nothing was counted.
    expect(writtenBytes, `bytes written by: ${kind}`).toBeGreaterThan(keptBytes);
    expect(keptBytes, `bytes kept by: ${kind}`).toBeGreaterThan(1000);
    // Each byte that is kept is in a table or an index, and most of them are the inputs of decisions.
    const { keptIn } = counts[kind];
    const sum = [...keptIn.values()].reduce((all, bytes) => all + bytes, 0);
    expect(sum, `bytes in tables of: ${kind}`).toBeLessThan(keptBytes * MORE_BYTES);
    expect(sum, `bytes in tables of: ${kind}`).toBeGreaterThan(keptBytes / 2);
    const most = [...keptIn].toSorted(([, one], [, other]) => other - one)[0];
    expect(most?.[0], `what grows most by: ${kind}`).toBe('record_details');
  }
});
