import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { append } from '../../src/log/append.ts';
import { batchOf, momentOf } from '../../src/store/batch.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import type { Tx } from '../../src/store/statement.ts';
import type { Store } from '../../src/store/store.ts';
import { appendTo, entryOf } from '../support/entries.ts';
import { personOf } from '../support/local-control.ts';
import {
  addSecondHead,
  moveFence,
  readDetails,
  readHead,
  readLeaves,
  readPseudonyms,
  refuseHead,
  sizeWithin,
} from '../support/sqlite/log.ts';

/*
 * The head gives each record its place and each write its moment, and says who may write.
 */

const START_MS = 1_795_000_000_000;

let folder: string;
let file: string;
let store: Store;
let nowMs: number;
let failures: unknown[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-head-'));
  file = join(folder, 'head.db');
  nowMs = START_MS;
  failures = [];
  store = await openStore({ file, clock: () => nowMs, onFailure: (error) => failures.push(error) });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function readPlaces(): number[] {
  return readLeaves(file).map(({ place }) => place);
}

function gapless(size: number): number[] {
  return Array.from({ length: size }, (_, index) => index + 1);
}

describe('places', () => {
  it('have no gap, whichever of many writes at once fail, and how', async () => {
    const writes = Array.from({ length: 300 }, (_, turn) =>
      store.writer.write(async (tx) => {
        const first = await append(tx, entryOf(tx));
        if (turn % 3 === 1) throw new BrokerError('invalid_change', 'no');
        // A statement that the store refuses, after some that it took.
        if (turn % 7 === 2) await addSecondHead(tx);
        return [first, await append(tx, entryOf(tx))];
      }),
    );
    const outcomes = await Promise.allSettled(writes);
    const given = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
    expect(given.length).toBeGreaterThan(200);
    expect(given.length).toBeLessThan(400);
    expect(given).toEqual(gapless(given.length));
    expect(readPlaces()).toEqual(given);
    expect(readHead(file)).toMatchObject({ size: given.length, last_ms: START_MS });
    expect(readDetails(file).map(({ place }) => place)).toEqual(given);
  });

  it('of a batch that could not be sealed are given to the next', async () => {
    await appendTo(store);
    const allowHead = refuseHead(file);
    const batch = await Promise.allSettled(Array.from({ length: 10 }, () => appendTo(store)));
    expect(batch.map((outcome) => outcome.status)).toEqual(Array.from({ length: 10 }, () => 'rejected'));
    expect(batch[0]).toMatchObject({ reason: { code: 'not_recorded' } });
    expect(readPlaces()).toEqual([1]);
    allowHead();
    expect(await appendTo(store)).toBe(2);
    expect(failures).toEqual([]);
  });

  it('go on after a restart', async () => {
    await Promise.all([appendTo(store), appendTo(store)]);
    const { installation } = readHead(file);
    await store.close();
    store = await openStore({ file, clock: () => nowMs });
    expect(await appendTo(store)).toBe(3);
    expect(readHead(file)).toMatchObject({ installation, epoch: 1, size: 3 });
  });

  it('are not those of a transaction that the writer did not begin', async () => {
    await expect(append(store.read as Tx, { ...(await anEntry()) })).rejects.toThrow(
      /does not belong to the writer/,
    );
    expect(readPlaces()).toEqual([]);
  });

  function anEntry() {
    return store.writer.write(async (tx) => entryOf(tx));
  }

  it('are sealed in batches of at most fifty', async () => {
    const sizes = new Set<number>();
    const batches = new Set<object>();
    await Promise.all(
      Array.from({ length: 120 }, () =>
        store.writer.write(async (tx) => {
          batches.add(batchOf(tx));
          sizes.add((await sizeWithin(tx)) ?? -1);
          await append(tx, entryOf(tx));
        }),
      ),
    );
    // What the row says during a batch is the size at its beginning.
    expect([...sizes].sort((one, other) => one - other)).toEqual([0, 50, 100]);
    expect(batches.size).toBe(3);
  });
});

describe('the fence', () => {
  it('rises with each opening', async () => {
    expect(readHead(file).fence).toBe(1);
    await store.close();
    store = await openStore({ file, clock: () => nowMs });
    expect(readHead(file).fence).toBe(2);
  });

  it('stops a writer whom another has taken over from: nothing more is written, and the process hears of it once', async () => {
    await appendTo(store);
    moveFence(file, 1);
    const outcomes = await Promise.allSettled([
      appendTo(store),
      store.writer.write((tx) => setMeta(tx, 'late', 'x')),
      ...Array.from({ length: 80 }, () => appendTo(store)),
    ]);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not_recorded' } });
    expect(failures).toHaveLength(1);
    expect(String(failures[0])).toMatch(/another broker has taken over this store/);
    // Not even when the number happens to be right again.
    moveFence(file, -1);
    await expect(appendTo(store)).rejects.toMatchObject({ code: 'not_recorded' });
    expect(readPlaces()).toEqual([1]);
    expect(await findMeta(store.read, 'late')).toBeNull();
  });
});

describe('the moment of a write', () => {
  it('is taken when the write runs, not when it was asked for', async () => {
    const first = store.writer.write(async (tx) => {
      nowMs += 1000;
      return momentOf(tx);
    });
    const second = store.writer.write(async (tx) => momentOf(tx));
    expect(await Promise.all([first, second])).toEqual([START_MS + 1000, START_MS + 1000]);
  });

  it.each([1, 4000, 5000])(
    'is that of the last record when the clock is %i ms behind it',
    async (behindMs) => {
      await appendTo(store);
      nowMs = START_MS - behindMs;
      expect(await appendTo(store)).toBe(2);
      expect(readDetails(file).map(({ at_ms }) => at_ms)).toEqual([START_MS, START_MS]);
      expect(readHead(file).last_ms).toBe(START_MS);
    },
  );

  it.each([5001, 6000, 3_600_000])(
    'cannot be taken %i ms behind it: nothing is written',
    async (behindMs) => {
      await appendTo(store);
      nowMs = START_MS - behindMs;
      const [refused, housekeeping] = await Promise.allSettled([
        store.writer.write(async (tx) => {
          await setMeta(tx, 'half', 'x');
          await append(tx, entryOf(tx));
        }),
        store.writer.write((tx) => setMeta(tx, 'tidied', 'x')),
      ]);
      const seconds = Math.min(Math.ceil(behindMs / 1000), 60);
      expect(refused).toMatchObject({
        status: 'rejected',
        reason: { code: 'clock_behind', fields: { headers: { 'Retry-After': String(seconds) } } },
      });
      expect(housekeeping.status).toBe('fulfilled');
      expect(readPlaces()).toEqual([1]);
      expect(await findMeta(store.read, 'half')).toBeNull();
      expect(readHead(file)).toMatchObject({ size: 1, last_ms: START_MS });
      nowMs = START_MS + 1;
      expect(await appendTo(store)).toBe(2);
    },
  );

  it('that a record was not given by its batch is refused, so that none is before the one before it', async () => {
    await appendTo(store);
    await expect(
      store.writer.write((tx) => append(tx, { ...entryOf(tx), at_ms: START_MS - 1 })),
    ).rejects.toThrow(/must not be before that of the previous record/);
    expect(await appendTo(store)).toBe(2);
  });

  it('of a write that was undone holds nobody back', async () => {
    nowMs = START_MS + 60_000;
    const undone = store.writer.write(async (tx) => {
      await append(tx, entryOf(tx));
      nowMs = START_MS;
      throw new Error('no');
    });
    const next = appendTo(store);
    await expect(undone).rejects.toThrow('no');
    expect(await next).toBe(1);
    expect(readHead(file).last_ms).toBe(START_MS);
  });
});

describe('pseudonyms', () => {
  const by = (name: string) => ({ principal: personOf(name, [], name) });

  it('are one for each name, however many writes at once need it first, and gone with a write that is undone', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, turn) =>
        store.writer.write(async (tx) => {
          await append(tx, entryOf(tx, by(`p${turn % 20}`)));
          // The first that needs each name fails.
          if (turn < 20) throw new Error('no');
        }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(40);
    const rows = readPseudonyms(file);
    expect(rows).toHaveLength(40);
    expect(new Set(rows.map(({ pseudonym }) => pseudonym)).size).toBe(40);
    const leaves = readLeaves(file);
    for (const [index, { leaf }] of leaves.entries()) {
      const { principal, person } = JSON.parse(leaf);
      const name = `p${index % 20}`;
      expect(rows).toContainEqual({ kind: 'person', name, pseudonym: person });
      expect(rows).toContainEqual({
        kind: 'principal',
        name: `person:demo:${name}`,
        pseudonym: principal.pseudonym,
      });
    }
    for (const { pseudonym } of rows) expect(Buffer.from(pseudonym, 'base64url')).toHaveLength(16);
  });
});
