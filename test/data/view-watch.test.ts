import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { createSnapshots, type SnapshotFlag, type Snapshots } from '../../src/data/snapshot.ts';
import { createViewWatch, type ViewWatch } from '../../src/data/view-watch.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';

/* Who is told of what, and how often. */

let store: { version: number; flags: SnapshotFlag[] } | null;
let snapshots: Snapshots;
let watch: ViewWatch;
let nowMs: number;

beforeEach(() => {
  nowMs = NOW_MS;
  store = null;
  snapshots = createSnapshots({ load: async () => store && { ...store } });
  watch = createViewWatch({ snapshots, clock: () => nowMs });
});

function flag(key: string, namespace: string, untilMs: number | null = null): SnapshotFlag {
  const users = untilMs === null ? [] : [{ id: 'ann', exception: exceptionUntil(untilMs) }];
  const state = sampleState({ audience: { kind: 'some', organizations: ['acme'], users } });
  return { definition: sampleDefinition({ key, namespace }), state, version: 1 };
}

async function load(version: number, flags: SnapshotFlag[]): Promise<void> {
  store = { version, flags };
  await snapshots.refresh('production');
}

function follow(...namespaces: string[]) {
  const tags: string[] = [];
  const followed = watch.follow('production', namespaces, (_view, tag) => tags.push(tag));
  return { tags, ...followed };
}

it('tells of the first snapshot, which was not there before', async () => {
  const { tags, newest } = follow('payments');
  expect(newest()).toBeNull();
  await load(1, [flag('a', 'payments')]);
  await expect.poll(() => tags).toEqual([newest()?.tag]);
});

it('tells readers of what they see, and equal readers of the same', async () => {
  await load(1, [flag('a', 'payments'), flag('b', 'search')]);
  const both = follow('payments', 'search');
  const turned = follow('search', 'payments');
  const payments = follow('payments');
  await load(2, [flag('a', 'payments'), { ...flag('b', 'search'), version: 2 }]);
  await expect.poll(() => both.tags).toHaveLength(1);
  expect(turned.tags).toEqual(both.tags);
  await load(3, [
    { ...flag('a', 'payments'), version: 2 },
    { ...flag('b', 'search'), version: 2 },
  ]);
  await expect.poll(() => both.tags).toHaveLength(2);
  expect(payments.tags).toEqual([payments.newest()?.tag]);
});

it('tells once of many writes at a time, the last of them included', async () => {
  await load(1, [flag('a', 'payments')]);
  const { tags, newest } = follow('payments');
  for (let version = 2; version <= 30; version += 1) {
    const [changed] = [{ ...flag('a', 'payments'), version }];
    snapshots.put('production', version, [changed]);
  }
  await expect.poll(() => tags.at(-1)).toBe(newest()?.tag);
  expect(tags.length).toBeLessThan(5);
});

it('tells of an exception that is over, though nothing was written', async () => {
  await load(1, [flag('a', 'payments', NOW_MS + 1000)]);
  const { tags, newest } = follow('payments');
  const before = newest()?.tag;
  nowMs += 1000;
  await expect.poll(() => tags, { timeout: 5000 }).toEqual([newest()?.tag]);
  expect(tags[0]).not.toBe(before);
});

it('tells nobody who has left', async () => {
  await load(1, [flag('a', 'payments')]);
  const gone = follow('payments');
  const there = follow('payments');
  gone.stop();
  gone.stop();
  await load(2, [flag('a', 'payments'), flag('c', 'payments')]);
  await expect.poll(() => there.tags).toHaveLength(1);
  there.stop();
  await load(3, []);
  await delay(100);
  expect([gone.tags, there.tags.length]).toEqual([[], 1]);
});
