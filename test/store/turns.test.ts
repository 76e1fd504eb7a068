import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import type { Store } from '../../src/store/store.ts';

let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-turns-'));
  store = await openStore({ file: join(folder, 'test.db'), clock: systemClock });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** Longer than the writes of a batch may keep the thread. */
const LONG_MS = 5;

function keepThread(): void {
  const fromMs = performance.now();
  while (performance.now() - fromMs < LONG_MS);
}

it('gives everybody else a turn between long writes of a batch, who see the state before it', async () => {
  const events: string[] = [];
  const writes = Array.from({ length: 8 }, (_, place) =>
    store.writer.write(async (tx) => {
      await setMeta(tx, 'last', String(place));
      events.push(`write ${place}`);
      // What is asked for now has a turn before the next write.
      setImmediate(async () => events.push(`read ${await findMeta(store.read, 'last')}`));
      keepThread();
    }),
  );
  await Promise.all(writes);
  expect(events.slice(0, 15)).toEqual(
    Array.from({ length: 8 }, (_, place) => [`write ${place}`, 'read null'])
      .flat()
      .slice(0, 15),
  );
  expect(await findMeta(store.read, 'last')).toBe('7');
});
