import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Checked, Comparison } from '../../../src/activation/checks/checks.ts';
import { type CheckRun, createRuns } from '../../../src/activation/checks/runs.ts';
import { createToldRuns } from '../../../src/activation/checks/told-runs.ts';
import { systemClock } from '../../../src/clock.ts';
import { openStore } from '../../../src/store/database.ts';
import type { Store } from '../../../src/store/store.ts';

/* The places for checks without a proposal, and what brokers tell each other of those that run. */

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

describe('a run at another broker', () => {
  let folder: string;
  let store: Store;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-told-'));
    store = await openStore({ file: join(folder, 'told.db'), clock: systemClock });
  });
  afterAll(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  it.each([-3_600_000, 0, 3_600_000])(
    'has ended once nothing new of it was seen for a minute, by a broker whose clock is %i ms ahead',
    async (aheadMs) => {
      let nowMs = 1_000_000;
      const clock = () => nowMs;
      const teller = createToldRuns({ store, clock });
      const other = createToldRuns({ store, clock: () => nowMs + aheadMs, nowMs: clock });
      const run: CheckRun = {
        ...{ id: `run-${aheadMs}`, caller: 'a', started_ms: nowMs, ended_ms: null },
        ...{ progress: null, outcome: null },
      };
      const outcomeAfter = async (passedMs: number) => {
        nowMs += passedMs;
        return (await other.find('a', run.id))?.outcome;
      };
      await teller.tell(run);
      expect(await outcomeAfter(0)).toBeNull();
      for (let turn = 0; turn < 20; turn += 1) {
        nowMs += 5_000;
        await teller.tell(run);
        expect(await outcomeAfter(1)).toBeNull();
      }
      expect(await outcomeAfter(60_000)).toBeNull();
      expect(await outcomeAfter(1)).toMatchObject({ message: expect.stringContaining('start them again') });
      // Its broker was only cut off.
      await teller.tell(run);
      expect(await outcomeAfter(0)).toBeNull();
      await teller.tell({ ...run, ended_ms: nowMs, outcome: {} as Checked });
      expect(await outcomeAfter(600_000)).toEqual({});
    },
  );
});
