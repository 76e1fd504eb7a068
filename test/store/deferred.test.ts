import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { createDeferredRows } from '../../src/store/deferred.ts';
import { environmentVersion, raiseEnvironmentVersion } from '../../src/store/flags.ts';
import { findRequest, insertRequest, postponeRequest, updateRequest } from '../../src/store/requests.ts';
import type { Store } from '../../src/store/store.ts';
import { createPlace, type Place } from '../support/place.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { requestRow } from '../support/request-row.ts';
import { countStatements } from '../support/sqlite/counting.ts';

/** Each takes longer on a server. */
const RUNS = IS_POSTGRES ? 40 : 150;

let place: Place;
let store: Store;

beforeEach(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: systemClock });
});

afterEach(async () => {
  await store.close();
  await place.remove();
});

const touches = { flags: ['f', 'f'], namespaces: ['n', 'n'] };

/** What one write does with one row, before it is perhaps undone. */
type Step = { act: 'insert' | 'read' | 'change'; id: string; due: number };

const anyStep = fc.record({
  act: fc.constantFrom<Step['act']>('insert', 'insert', 'read', 'change'),
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  due: fc.nat(9),
});
const anyWrite = fc.record({
  steps: fc.array(anyStep, { maxLength: 4 }),
  failsAtTheEnd: fc.boolean(),
});

/** What a write finds, or that the store refuses it. */
type Found = (number | null | undefined)[] | 'failed' | 'not_recorded';

/** The same on a map. */
function expected(
  rows: Map<string, number | null>,
  { steps, failsAtTheEnd }: { steps: Step[]; failsAtTheEnd: boolean },
): Found {
  const before = new Map(rows);
  const found: (number | null | undefined)[] = [];
  let isRefused = false;
  for (const { act, id, due } of steps) {
    if (act === 'read') found.push(rows.get(id));
    else if (act === 'change' && rows.has(id)) rows.set(id, due);
    else if (act === 'insert') {
      isRefused ||= rows.has(id);
      rows.set(id, due);
    }
  }
  if (!isRefused && !failsAtTheEnd) return found;
  rows.clear();
  for (const [id, due] of before) rows.set(id, due);
  return failsAtTheEnd ? 'failed' : 'not_recorded';
}

async function runOn(write: { steps: Step[]; failsAtTheEnd: boolean }): Promise<Found> {
  const thrown = new Error('failed');
  try {
    return await store.writer.write(async (tx) => {
      const found: (number | null | undefined)[] = [];
      for (const { act, id, due } of write.steps) {
        if (act === 'read') found.push((await findRequest(tx, id))?.due_ms);
        else if (act === 'change') await postponeRequest(tx, id, { due_ms: due });
        else await insertRequest(tx, requestRow(id, due), touches);
      }
      if (write.failsAtTheEnd) throw thrown;
      return found;
    });
  } catch (error) {
    if (error === thrown) return 'failed';
    return (error as { code: 'not_recorded' }).code;
  }
}

describe('rows that wait for the end of their batch', () => {
  it('are seen, refused and undone as if each had been inserted at once', { timeout: 120_000 }, async () => {
    const property = fc.asyncProperty(fc.array(anyWrite, { minLength: 1, maxLength: 10 }), async (writes) => {
      await store.writer.write(async (tx) => {
        for (const table of ['requests', 'request_flags', 'request_namespaces'] as const)
          await tx.deleteFrom(table).execute();
      });
      const rows = new Map<string, number | null>();
      const wanted = writes.map((write) => expected(rows, write));
      const found = await Promise.all(writes.map(runOn));
      // A write that both is refused and fails may end either way.
      expect(
        found.map((each, at) => (wanted[at] === 'failed' && each === 'not_recorded' ? 'failed' : each)),
      ).toEqual(wanted);
      const stored = await store.read.selectFrom('requests').select(['id', 'due_ms']).orderBy('id').execute();
      expect(stored).toEqual(
        [...rows].map(([id, due_ms]) => ({ id, due_ms })).sort((a, b) => (a.id < b.id ? -1 : 1)),
      );
    });
    await fc.assert(property, { numRuns: RUNS });
  });

  it.skipIf(IS_POSTGRES)(
    'are one statement for each table and power of two, whoever of the batch they are of',
    async () => {
      const statements = countStatements();
      try {
        const writes = Array.from({ length: 21 }, (_, number) =>
          store.writer.write((tx) => insertRequest(tx, requestRow(`r-${number}`), touches)),
        );
        await Promise.all(writes);
        // 16, 4 and 1; each text has as many rows.
        const inserts = statements.take().filter((text) => text.startsWith('insert into "requests"'));
        expect(inserts.map((text) => text.split('), (').length)).toEqual([16, 4, 1]);
      } finally {
        statements.stop();
      }
      expect(await store.read.selectFrom('requests').select('id').execute()).toHaveLength(21);
    },
  );

  it('are those of the neighbours only, if the database refuses one of them', async () => {
    await store.writer.write((tx) => insertRequest(tx, requestRow('taken'), touches));
    const committed: string[] = [];
    const ids = ['one', 'taken', 'two', 'two', 'three'];
    const outcomes = await Promise.allSettled(
      ids.map((id) =>
        store.writer.write(async (tx, afterCommit) => {
          await insertRequest(tx, requestRow(id), touches);
          afterCommit(() => committed.push(id));
        }),
      ),
    );
    expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : null))).toEqual([
      null,
      'not_recorded',
      null,
      'not_recorded',
      null,
    ]);
    expect(committed).toEqual(['one', 'two', 'three']);
  });

  it('are refused, and those of neighbours kept, also if the write whose read inserts them goes on after the error', async () => {
    const insert = (id: string, flag: string) =>
      store.writer.write((tx) => insertRequest(tx, requestRow(id), { flags: [flag], namespaces: [] }));
    await insert('taken', 'e');
    const results = await Promise.allSettled([
      insert('taken', 'f'),
      insert('innocent', 'g'),
      store.writer.write(async (tx) => {
        await findRequest(tx, 'other').catch(() => undefined);
      }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    const rows = await store.read
      .selectFrom('request_flags')
      .select(['request_id', 'flag'])
      .orderBy('flag')
      .execute();
    expect(rows).toEqual([
      { request_id: 'taken', flag: 'e' },
      { request_id: 'innocent', flag: 'g' },
    ]);
    expect(await store.read.selectFrom('requests').select('id').orderBy('id').execute()).toEqual([
      { id: 'innocent' },
      { id: 'taken' },
    ]);
  });

  it('are gone with a batch that is not committed', async () => {
    const stuck = store.writer.write(async (tx) => {
      await insertRequest(tx, requestRow('lost'), touches);
      throw Object.assign(new Error('disk full'), { code: 'SQLITE_FULL' });
    });
    await expect(stuck).rejects.toMatchObject({ code: 'not_recorded' });
    expect(await store.writer.write((tx) => findRequest(tx, 'lost'))).toBeUndefined();
  });
});

describe('a change that is certain', () => {
  it('fails its write alone if it is not, whatever comes after it', async () => {
    const revise = (id: string, revision: number) =>
      store.writer.write((tx) => updateRequest(tx, { ...requestRow(id), revision }));
    await store.writer.write(async (tx) => {
      for (const id of ['a', 'b', 'c']) await insertRequest(tx, requestRow(id), touches);
    });
    const outcomes = await Promise.allSettled([
      revise('a', 2),
      revise('b', 3),
      store.writer.write(async (tx) => {
        await findRequest(tx, 'c');
        throw new Error('undone');
      }),
      revise('c', 2),
      revise('c', 2),
      revise('none', 1),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      ...['rejected', 'rejected'],
      'fulfilled',
      ...['rejected', 'rejected'],
    ]);
    const rows = await store.read.selectFrom('requests').select(['id', 'revision']).orderBy('id').execute();
    expect(rows).toEqual([
      { id: 'a', revision: 2 },
      { id: 'b', revision: 1 },
      { id: 'c', revision: 2 },
    ]);
  });
});

describe('the version of an environment', () => {
  it('rises by one with each write that stays, whoever of a batch raises it', {
    timeout: 120_000,
  }, async () => {
    const anyRaise = fc.record({
      environments: fc.array(fc.constantFrom('staging', 'production'), { minLength: 1, maxLength: 3 }),
      failsAtTheEnd: fc.boolean(),
    });
    const versions = new Map<string, number>();
    const property = fc.asyncProperty(fc.array(anyRaise, { minLength: 1, maxLength: 8 }), async (raises) => {
      const wanted = raises.map(({ environments, failsAtTheEnd }) => {
        const before = new Map(versions);
        const raised = environments.map((each) => {
          versions.set(each, (versions.get(each) ?? 0) + 1);
          return versions.get(each);
        });
        if (!failsAtTheEnd) return raised;
        versions.clear();
        for (const [each, version] of before) versions.set(each, version);
        return 'failed';
      });
      const found = await Promise.all(
        raises.map(({ environments, failsAtTheEnd }) =>
          store.writer
            .write(async (tx) => {
              const raised: number[] = [];
              for (const each of environments) raised.push(await raiseEnvironmentVersion(tx, each));
              if (failsAtTheEnd) throw new Error('failed');
              return raised;
            })
            .catch((error: Error) => error.message),
        ),
      );
      expect(found).toEqual(wanted);
      for (const each of ['staging', 'production'])
        expect(await environmentVersion(store.read, each)).toBe(versions.get(each) ?? 0);
    });
    await fc.assert(property, { numRuns: RUNS });
  });
});

describe('a statement', () => {
  const insertedBefore = (sql: string) => {
    const tx = {};
    const rows = createDeferredRows();
    let inserted = 0;
    rows.begin(tx);
    rows.add('requests', {}, () => {
      inserted += 1;
    });
    rows.note(sql);
    return inserted === 1;
  };

  it.each([
    'select * from "requests" where "id" = ?',
    'SELECT 1 FROM main.requests',
    'select (select max(id) from requests) as "last"',
    'update "votes" set "digest" = ? where "request_id" in (select "id" from "requests")',
    'delete from "requests"',
    'with "open" as (select 1 from "requests") select * from "open"',
  ])('that names their table is run after them: %s', (sql) => {
    expect(insertedBefore(sql)).toBe(true);
  });

  it.each([
    'select * from "request_flags"',
    'update "log_head" set "size" = ?',
    'release savepoint one_write',
  ])('that names others is not: %s', (sql) => {
    expect(insertedBefore(sql)).toBe(false);
  });
});
