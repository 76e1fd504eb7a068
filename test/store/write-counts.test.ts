import { expect, it } from 'vitest';
import { countWrites, WRITE_KINDS } from '../support/write-counts.ts';

/**
 * What each kind of write takes. A change of a number is to be meant, and is then written down here: also a smaller one,
 * so that it stays small. Bytes differ by a page or two from run to run.
 */
const TAKEN: Awaited<ReturnType<typeof countWrites>> = {
  toggle: { statements: 19, around: 10, evaluations: 1, writtenBytes: 134000, keptBytes: 8700 },
  'toggle with an Idempotency-Key': {
    statements: 21,
    around: 10,
    evaluations: 1,
    writtenBytes: 154000,
    keptBytes: 10900,
  },
  propose: { statements: 15, around: 10, evaluations: 1, writtenBytes: 113000, keptBytes: 12200 },
  approve: { statements: 23, around: 10, evaluations: 2, writtenBytes: 118000, keptBytes: 17700 },
  apply: { statements: 23, around: 10, evaluations: 1, writtenBytes: 113000, keptBytes: 7400 },
  reject: { statements: 15, around: 10, evaluations: 1, writtenBytes: 91000, keptBytes: 7000 },
  withdraw: { statements: 13, around: 10, evaluations: 1, writtenBytes: 84000, keptBytes: 6700 },
  'approve, refused': { statements: 12, around: 12, evaluations: 4, writtenBytes: 63000, keptBytes: 7500 },
  'exchange a token': { statements: 7, around: 11, evaluations: 1, writtenBytes: 68000, keptBytes: 5800 },
};

const MORE_BYTES = 1.15;

it('takes no more of the store and of the policy than is written down', { timeout: 120_000 }, async () => {
  const counts = await countWrites();
  const exactOf = (of: typeof counts) =>
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
  }
});
