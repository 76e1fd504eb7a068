import { describe, expect, it } from 'vitest';
import type { Checked, Comparison } from '../../../src/activation/checks/checks.ts';
import { createRuns } from '../../../src/activation/checks/runs.ts';

/* The places for checks without a proposal. */

/** Runs whose checks end when the test says so. */
function openRuns() {
  const ends: (() => void)[] = [];
  let last = 0;
  const runs = createRuns({
    checks: { run: () => new Promise<Checked>((resolve) => ends.push(() => resolve({} as Checked))) },
    // A store that takes no writes: what this broker runs, it knows by itself.
    told: {
      tell: () => Promise.reject(new Error('not recorded')),
      find: async () => null,
    },
    clock: () => 1_000_000,
    newId: () => `run-${++last}`,
    onFault: (error) => {
      throw error;
    },
  });
  return { runs, ends };
}

const nothing = {} as Comparison;

describe('places for checks', () => {
  it('are one for each caller and two in all, whether a run has started or not', async () => {
    const { runs, ends } = openRuns();
    const [a, b, c] = [{ caller: 'a' }, { caller: 'b' }, { caller: 'c' }];
    runs.take(a);
    runs.take(a);
    expect(() => runs.take({ caller: 'a' })).toThrow(expect.objectContaining({ code: 'state_conflict' }));
    const run = await runs.start(a, nothing, 'newest');
    expect(() => runs.take({ caller: 'a' })).toThrow(
      expect.objectContaining({ code: 'state_conflict', fields: { extra: { running: run.id } } }),
    );
    runs.take(b);
    expect(() => runs.take(c)).toThrow(expect.objectContaining({ code: 'rate_limited' }));
    runs.giveUp(b);
    runs.take(c);
    expect(() => runs.take(b)).toThrow(expect.objectContaining({ code: 'rate_limited' }));
    for (const end of ends) end();
    await new Promise((resolve) => setImmediate(resolve));
    runs.take(b);
    await expect(runs.find('b', run.id)).rejects.toMatchObject({ code: 'not_found' });
    expect((await runs.find('a', run.id)).outcome).toEqual({});
  });
});
