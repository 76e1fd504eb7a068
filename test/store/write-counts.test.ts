import { expect, it } from 'vitest';
import { countWrites, WRITE_KINDS } from '../support/write-counts.ts';

/**
 * What each kind of write takes. Statements and evaluations are exact: a change of one of them is to be meant, and is
 * then written down here. Bytes differ by a page or two from run to run.
 */
const TAKEN: Awaited<ReturnType<typeof countWrites>> = {
  toggle: { statements: 25, evaluations: 1, writtenBytes: 135_000, keptBytes: 8700 },
  'toggle with an Idempotency-Key': {
    statements: 27,
    evaluations: 1,
    writtenBytes: 146_000,
    keptBytes: 10_600,
  },
  propose: { statements: 21, evaluations: 1, writtenBytes: 117_000, keptBytes: 12_200 },
  approve: { statements: 29, evaluations: 2, writtenBytes: 116_000, keptBytes: 17_500 },
  apply: { statements: 29, evaluations: 1, writtenBytes: 116_000, keptBytes: 7400 },
  reject: { statements: 21, evaluations: 1, writtenBytes: 93_000, keptBytes: 7000 },
  withdraw: { statements: 19, evaluations: 1, writtenBytes: 83_000, keptBytes: 6400 },
  'approve, refused': { statements: 20, evaluations: 4, writtenBytes: 61_000, keptBytes: 6800 },
  'exchange a token': { statements: 14, evaluations: 1, writtenBytes: 67_000, keptBytes: 5600 },
};

const MORE_BYTES = 1.15;

it('takes no more of the store and of the policy than is written down', { timeout: 120_000 }, async () => {
  const counts = await countWrites();
  for (const kind of WRITE_KINDS) {
    const { statements, evaluations, writtenBytes, keptBytes } = counts[kind];
    const expected = TAKEN[kind];
    expect({ kind, statements, evaluations }).toEqual({
      kind,
      statements: expected.statements,
      evaluations: expected.evaluations,
    });
    expect(writtenBytes, `bytes written by: ${kind}`).toBeLessThan(expected.writtenBytes * MORE_BYTES);
    expect(keptBytes, `bytes kept by: ${kind}`).toBeLessThan(expected.keptBytes * MORE_BYTES);
    // Or nothing was counted.
    expect(writtenBytes, `bytes written by: ${kind}`).toBeGreaterThan(keptBytes);
    expect(keptBytes, `bytes kept by: ${kind}`).toBeGreaterThan(1000);
  }
});
