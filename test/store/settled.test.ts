import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { insertFreeze, listActiveFreezes } from '../../src/store/emergency.ts';
import { findMeta, removeMeta, setMeta } from '../../src/store/installation.ts';
import { createSettledReads } from '../../src/store/settled.ts';
import type { Store } from '../../src/store/store.ts';
import { countStatements } from '../support/sqlite/counting.ts';

let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-settled-'));
  store = await openStore({ file: join(folder, 'test.db'), clock: systemClock });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** What one write does with one key, before it is perhaps rolled back. */
type Step = { act: 'read' } | { act: 'set'; value: string } | { act: 'remove' };

const KEY = 'k';
const isReadOfKey = (text: string) => /^select "value" from "meta"/.test(text);

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>({ act: 'read' }) },
  fc.record({ act: fc.constant<'set'>('set'), value: fc.string({ maxLength: 3 }) }),
  fc.constant<Step>({ act: 'remove' }),
);
const anyWrite = fc.record({
  steps: fc.array(anyStep, { maxLength: 4 }),
  failsAtTheEnd: fc.boolean(),
});

describe('what a batch has read of a settled table', () => {
  it('is read once for all its writes, and again by the next batch', async () => {
    const statements = countStatements();
    const readAll = () =>
      Promise.all(Array.from({ length: 5 }, () => store.writer.write((tx) => findMeta(tx, KEY))));
    try {
      for (const value of ['one', 'two']) {
        await store.writer.write((tx) => setMeta(tx, KEY, value));
        statements.take();
        expect(await readAll()).toEqual(Array(5).fill(value));
        expect(statements.take().filter(isReadOfKey)).toHaveLength(1);
      }
    } finally {
      statements.stop();
    }
  });

  it('is what each write would have read itself, whatever they do and however many are rolled back', async () => {
    const property = fc.asyncProperty(fc.array(anyWrite, { minLength: 1, maxLength: 12 }), async (writes) => {
      await store.writer.write((tx) => removeMeta(tx, KEY));
      let expected: string | null = null;
      const seen: (string | null)[] = [];
      const wanted: (string | null)[] = [];
      for (const { steps, failsAtTheEnd } of writes) {
        let inside: string | null = expected;
        for (const step of steps) {
          if (step.act === 'read') wanted.push(inside);
          else inside = step.act === 'set' ? step.value : null;
        }
        if (!failsAtTheEnd) expected = inside;
      }
      const one = ({ steps, failsAtTheEnd }: (typeof writes)[number]) =>
        store.writer.write(async (tx) => {
          for (const step of steps) {
            if (step.act === 'read') seen.push(await findMeta(tx, KEY));
            else if (step.act === 'set') await setMeta(tx, KEY, step.value);
            else await removeMeta(tx, KEY);
          }
          if (failsAtTheEnd) throw new Error('rolled back');
        });
      // At once, so that they share batches.
      await Promise.allSettled(writes.map(one));
      expect(seen).toEqual(wanted);
      expect(await findMeta(store.read, KEY)).toBe(expected);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('is never a freeze too few: one of the same batch holds for all writes after it', async () => {
    const freeze = {
      id: 'f',
      scope: 'all',
      environment: null,
      namespace: null,
      flag: null,
      incident: 'INC-1',
      reason: 'a test',
      engaged_by: 'somebody',
      engaged_ms: 1,
      lifted_ms: null,
      lifted_by_request: null,
    };
    const count = () => store.writer.write(async (tx) => (await listActiveFreezes(tx)).length);
    const counts = await Promise.all([
      count(),
      store.writer
        .write(async (tx) => {
          await insertFreeze(tx, { ...freeze, id: 'undone' });
          throw new Error('rolled back');
        })
        .catch(() => 'undone'),
      count(),
      store.writer.write((tx) => insertFreeze(tx, freeze)),
      count(),
    ]);
    expect(counts).toEqual([0, 'undone', 0, undefined, 1]);
  });
});

describe('what is known of a table', () => {
  const tx = {};
  const start = () => {
    const settled = createSettledReads();
    settled.begin(tx);
    const once = (answer: string) =>
      settled.once({ db: tx, table: 'meta', key: 'k', read: async () => answer });
    return { settled, once };
  };
  const told = { db: tx, table: 'meta', key: 'k', answer: Promise.resolve('told') } as const;

  it('is what was told before the first write, also after one that is undone', async () => {
    const { settled, once } = start();
    settled.know(told);
    settled.beginWrite();
    expect(await once('read')).toBe('told');
    settled.undo();
    expect(await once('read')).toBe('told');
  });

  it('is not what a write that is undone has told, read or changed', async () => {
    const { settled, once } = start();
    settled.beginWrite();
    settled.know(told);
    settled.undo();
    expect(await once('before')).toBe('before');
    settled.beginWrite();
    settled.note('update "meta" set "value" = ?');
    expect(await once('changed')).toBe('changed');
    settled.undo();
    expect(await once('after')).toBe('after');
    expect(await once('again')).toBe('after');
  });

  it('is nothing once it changes without a statement, and nothing for others', async () => {
    const { settled, once } = start();
    settled.know(told);
    settled.change('meta');
    expect(await once('read')).toBe('read');
    settled.know({ ...told, db: {} });
    expect(await once('other')).toBe('read');
  });
});

describe('a statement', () => {
  const tx = {};
  const readsAgainAfter = async (sql: string) => {
    const settled = createSettledReads();
    let reads = 0;
    const read = async () => {
      reads += 1;
    };
    settled.begin(tx);
    await settled.once({ db: tx, table: 'freezes', key: '', read });
    settled.note(sql);
    await settled.once({ db: tx, table: 'freezes', key: '', read });
    return reads === 2;
  };

  it.each([
    'insert into "freezes" ("id") values (?)',
    'INSERT OR REPLACE INTO freezes VALUES (?)',
    'replace into "freezes" values (?)',
    'update "freezes" set "lifted_ms" = ?',
    'update or ignore main.freezes set lifted_ms = ?',
    'delete from "freezes"',
    'with "gone" as (select 1) delete from "freezes"',
    'drop table freezes',
    'alter table "freezes" rename to "other"',
  ])('that may change the table makes the next write read it again: %s', async (sql) => {
    expect(await readsAgainAfter(sql)).toBe(true);
  });

  it.each(['select * from "freezes"', 'update "requests" set "state" = ?', 'savepoint one_write'])(
    'that changes nothing of it does not: %s',
    async (sql) => {
      expect(await readsAgainAfter(sql)).toBe(false);
    },
  );
});
