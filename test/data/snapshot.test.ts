import { describe, expect, it, vi } from 'vitest';
import { createSnapshots, type SnapshotFlag } from '../../src/data/snapshot.ts';
import { sampleDefinition, sampleState } from '../flags/samples.ts';

type Loaded = { version: number; flags: SnapshotFlag[] } | null;

/** A store whose loads end when the test says so, in the order that the test chooses. */
function controlledStore() {
  const pending: { succeed: (loaded: Loaded) => void; fail: (error: Error) => void }[] = [];
  const load = () =>
    new Promise<Loaded>((resolve, reject) => {
      pending.push({ succeed: resolve, fail: reject });
    });
  const at = (index: number) => {
    const found = pending[index];
    if (found === undefined) throw new Error(`load ${index} has not started`);
    return found;
  };
  return { load, at, started: () => pending.length };
}

const version = (number: number): Loaded => ({ version: number, flags: [] });

describe('snapshots', () => {
  it('have nothing before the first load and leave retired flags out after it', async () => {
    const flags = [
      { definition: sampleDefinition(), state: sampleState(), version: 1 },
      { definition: sampleDefinition({ key: 'old', retired: true }), state: sampleState(), version: 1 },
    ];
    const snapshots = createSnapshots({ load: async () => ({ version: 7, flags }) });
    expect(snapshots.current('production')).toBeUndefined();
    expect(await snapshots.refresh('production')).toBe(true);
    expect(snapshots.current('production')?.version).toBe(7);
    expect([...(snapshots.current('production')?.flags.keys() ?? [])]).toEqual([sampleDefinition().key]);
  });

  it('never go back a version', async () => {
    const versions = [5, 4, 5, 6];
    const snapshots = createSnapshots({ load: async () => version(versions.shift() ?? 0) });
    const seen: (number | undefined)[] = [];
    while (versions.length > 0) {
      await snapshots.refresh('production');
      seen.push(snapshots.current('production')?.version);
    }
    expect(seen).toEqual([5, 5, 5, 6]);
  });

  it('keep the last one when loading fails, throws at once, or the environment is gone', async () => {
    const answers: (() => Promise<Loaded>)[] = [
      async () => version(1),
      async () => Promise.reject(new Error('disk')),
      () => {
        throw new Error('closed');
      },
      async () => null,
      async () => version(2),
    ];
    const logged: object[] = [];
    const snapshots = createSnapshots({
      load: () => (answers.shift() ?? (async () => null))(),
      log: { error: (fields) => logged.push(fields) },
    });
    const results: boolean[] = [];
    for (let count = 0; count < 4; count += 1) results.push(await snapshots.refresh('production'));
    expect(results).toEqual([true, false, false, false]);
    expect(snapshots.current('production')?.version).toBe(1);
    expect(logged).toHaveLength(2);
    expect(await snapshots.refresh('production')).toBe(true);
    expect(snapshots.current('production')?.version).toBe(2);
  });

  it('keep the last one when a change that asks for a load cannot have it, and take the next', async () => {
    const answers: (() => Promise<Loaded>)[] = [
      async () => version(1),
      async () => Promise.reject(new Error('disk')),
      async () => version(3),
    ];
    const logged: object[] = [];
    const snapshots = createSnapshots({
      load: () => (answers.shift() ?? (async () => null))(),
      log: { error: (fields) => logged.push(fields) },
    });
    await snapshots.refresh('production');
    // Two versions at once: this change alone does not say what is served now.
    snapshots.put('production', 3, []);
    await vi.waitFor(() => expect(logged).toMatchObject([{ environment: 'production' }]));
    expect(snapshots.current('production')?.version).toBe(1);
    snapshots.put('production', 3, []);
    await vi.waitFor(() => expect(snapshots.current('production')?.version).toBe(3));
  });

  it('share loads: however many ask during one, a single load more answers them all, and it starts after they asked', async () => {
    const store = controlledStore();
    const snapshots = createSnapshots({ load: store.load });
    const first = snapshots.refresh('production');
    const later = Array.from({ length: 50 }, () => snapshots.refresh('production'));
    expect(store.started()).toBe(1);
    store.at(0).succeed(version(1));
    await first;
    await Promise.resolve();
    expect(store.started()).toBe(2);
    const latest = snapshots.refresh('production');
    store.at(1).succeed(version(2));
    expect(await Promise.all(later)).not.toContain(false);
    expect(snapshots.current('production')?.version).toBe(2);
    await Promise.resolve();
    store.at(2).succeed(version(3));
    expect(await latest).toBe(true);
    expect(snapshots.current('production')?.version).toBe(3);
    expect(store.started()).toBe(3);
  });

  it('keep environments apart', async () => {
    const store = controlledStore();
    const snapshots = createSnapshots({ load: store.load });
    const [one, other] = [snapshots.refresh('staging'), snapshots.refresh('production')];
    store.at(1).succeed(version(9));
    await other;
    expect(snapshots.current('staging')).toBeUndefined();
    store.at(0).fail(new Error('disk'));
    expect(await one).toBe(false);
    expect(snapshots.current('production')?.version).toBe(9);
  });
});
