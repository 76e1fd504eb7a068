import type { CompiledQuery } from 'kysely';
import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { append } from '../../src/log/append.ts';
import type { Entry } from '../../src/log/entry.ts';
import { operatorPrincipal } from '../../src/principal.ts';
import { acceptClock } from '../../src/store/batch.ts';
import { openStore } from '../../src/store/database.ts';
import { upsertPrincipal } from '../../src/store/principals.ts';
import { listRecords, type RecordFilter } from '../../src/store/record-list.ts';
import {
  listRequestPlaces,
  listRequests,
  type RequestFilter,
  type VisibleRequests,
} from '../../src/store/request-list.ts';
import { insertRequest } from '../../src/store/requests.ts';
import type { Store } from '../../src/store/store.ts';
import { entryOf } from '../support/entries.ts';
import { personOf } from '../support/local-control.ts';
import { createPlace, type Place } from '../support/place.ts';
import { planOf } from '../support/sqlite/file.ts';

/*
 * Pages of lists that are longer than a page looks at. What they are together is compared with a search of all that was
 * written; how much they look at, with the plans and the rows of the statements that they run.
 */

const START_MS = 1_795_000_000_000;
const RECORDS = 7000;
const REQUESTS = 3500;
/** What `record-list.ts` and `request-list.ts` say. */
const MAX_RECORDS = 2000;
const MAX_REQUESTS = 1000;

interface Written {
  place: number;
  at_ms: number;
  flag: string;
  environment: string | null;
  who: string;
  operation: string;
  request: string | null;
}

interface Asked {
  id: string;
  flag: string;
  environment: string | null;
  namespace: string | null;
  kind: string;
  state: string;
  proposer: string;
}

let place: Place;
let store: Store;
let nowMs = START_MS;
const written: Written[] = [];
const asked: Asked[] = [];
const REQUEST = uuidv7({ msecs: START_MS });

beforeAll(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: () => nowMs });
  for (let from = 1; from <= RECORDS; from += 500) {
    await store.writer.write(async (tx) => {
      for (let place = from; place < from + 500; place += 1) await writeRecord(tx, place);
    });
    nowMs += 1000;
  }
  for (let from = 0; from < REQUESTS; from += 500) {
    await store.writer.write(async (tx) => {
      for (let number = from; number < from + 500; number += 1) await writeRequest(tx, number);
    });
  }
}, 120_000);
afterAll(async () => {
  await store.close();
  await place.remove();
});

type Tx = Parameters<Parameters<Store['writer']['write']>[0]>[0];

async function writeRecord(tx: Tx, place: number): Promise<void> {
  const record: Written = {
    place,
    at_ms: nowMs,
    flag: place % 1999 === 7 ? 'rare' : 'busy',
    environment: place === 5 ? 'lonely' : ([null, 'staging', 'production'][place % 3] ?? null),
    who: place % 1500 === 1 ? 'alex' : 'dana',
    operation: place === 3 ? 'policy.activate' : 'decision.read',
    request: place % 700 === 2 ? REQUEST : null,
  };
  const flags = [
    { flag: record.flag, environment: record.environment, version_before: 0, version_after: 0, digest: null },
  ];
  await append(
    tx,
    entryOf(tx, {
      ...{ environment: record.environment, operation: record.operation as never, flags },
      principal: personOf(record.who, [], `${record.who}@acme.example`),
      request: (record.request === null
        ? null
        : { id: record.request, digest: 'sha256:x', state: 'pending' }) as never,
    }),
  );
  written.push(record);
}

async function writeRequest(tx: Tx, number: number): Promise<void> {
  const request: Asked = {
    id: uuidv7({ msecs: START_MS + number }),
    flag: number % 900 === 4 ? 'rare' : 'busy',
    environment: [null, 'staging', 'production'][number % 3] ?? null,
    namespace: number % 4 === 0 ? null : number % 1100 === 9 ? 'hidden' : 'shop',
    kind: number === 11 ? 'freeze.lift' : 'flag.change',
    state: number % 1200 === 6 ? 'pending' : number % 2 === 0 ? 'applied' : 'rejected',
    proposer: number % 1300 === 8 ? 'person:demo:alex' : 'person:demo:dana',
  };
  const { id, kind, environment, state, proposer } = request;
  const row = {
    ...{ id, kind, environment, state, proposer_id: proposer, proposer: '{}', authors: '[]', standing: '{}' },
    ...{
      revision: 1,
      digest: 'd',
      content: '{}',
      plan: '{}',
      decision_id: 'x',
      held_by: null,
      due_ms: null,
      gate: null,
      owner: null,
      demands: null,
    },
    ...{ created_ms: 1, updated_ms: 1, expires_ms: 1 },
  };
  const namespaces = request.namespace === null ? [] : [request.namespace];
  await insertRequest(tx, row, { flags: [request.flag], namespaces });
  asked.push(request);
}

/** One statement with what it was given and what it found. */
interface Statement {
  sql: string;
  parameters: readonly unknown[];
  rows: number;
}

/** The statements that some work runs on the reading connection. */
async function statementsOf(work: () => Promise<unknown>): Promise<Statement[]> {
  const executor = store.read.getExecutor();
  const own = executor.executeQuery.bind(executor);
  const statements: Statement[] = [];
  executor.executeQuery = async (query: CompiledQuery, ...rest: never[]) => {
    const result = await own(query as never, ...rest);
    statements.push({ sql: query.sql, parameters: query.parameters, rows: result.rows.length });
    return result as never;
  };
  try {
    await work();
  } finally {
    executor.executeQuery = own;
  }
  return statements;
}

/** Expects that every step of every statement finds its rows by a key, and that there are not more of them. */
async function expectBounded(work: () => Promise<unknown>, most: number): Promise<void> {
  const statements = await statementsOf(work);
  expect(statements.length).toBeGreaterThan(0);
  let looks = 0;
  for (const { sql, parameters, rows } of statements) {
    const steps = planOf(place.database, sql, parameters);
    const whole = steps.filter((step) => /^SCAN (?!json_each|found\b)|TEMP B-TREE/.test(step));
    // An index that is read from its end, as far as the limit.
    const isLimited = / limit \?$/.test(sql) && / order by "?id"? desc/.test(sql);
    expect({
      sql,
      steps: isLimited ? whole.filter((step) => !/USING COVERING INDEX/.test(step)) : whole,
    }).toEqual({
      sql,
      steps: [],
    });
    const keys = parameters.find((value) => typeof value === 'string' && /^\[.*\]$/.test(value));
    looks += keys === undefined ? rows : (JSON.parse(String(keys)) as unknown[]).length;
  }
  // Each candidate is found once and fetched once.
  expect(looks).toBeLessThanOrEqual(2 * most + 60);
}

describe('the log', () => {
  const ALEX = 'person:demo:alex';
  /** A record without an environment is about all of them. */
  const isAbout = (key: string) => (row: Written) => row.environment === key || row.environment === null;
  const FILTERS: readonly [string, RecordFilter, (row: Written) => boolean, number][] = [
    ['everything', {}, () => true, 1],
    ['a flag of many records', { flag: 'busy' }, ({ flag }) => flag === 'busy', 1],
    ['a flag of few records', { flag: 'rare' }, ({ flag }) => flag === 'rare', 1],
    ['a flag that nothing has', { flag: 'none' }, () => false, 1],
    ['an environment', { environment: 'production' }, isAbout('production'), 2],
    ['an environment of one record', { environment: 'lonely' }, isAbout('lonely'), 2],
    ['an environment of none', { environment: 'none' }, isAbout('none'), 2],
    ['an account that is not known', { principal: ALEX }, ({ who }) => who === 'alex', 1],
    ['a person of few records', { principal: 'alex@acme.example' }, ({ who }) => who === 'alex', 1],
    ['a person of none', { principal: 'nobody@acme.example' }, () => false, 1],
    [
      'an operation of one record',
      { operation: 'policy.activate' },
      ({ operation }) => operation === 'policy.activate',
      1,
    ],
    ['an operation of none', { operation: 'key.rotate' }, () => false, 1],
    ['a request', { request: REQUEST }, ({ request }) => request === REQUEST, 1],
    [
      'several at once',
      { flag: 'busy', environment: 'staging', principal: 'alex@acme.example', operation: 'decision.read' },
      (row) => row.flag === 'busy' && isAbout('staging')(row) && row.who === 'alex',
      1,
    ],
    [
      'a request and a flag',
      { flag: 'busy', request: REQUEST },
      ({ flag, request }) => flag === 'busy' && request === REQUEST,
      1,
    ],
    [
      'a time',
      { from_ms: START_MS + 2000, to_ms: START_MS + 5000 },
      ({ at_ms }) => at_ms >= START_MS + 2000 && at_ms < START_MS + 5000,
      1,
    ],
    ['a time without records', { from_ms: START_MS + 1e9 }, () => false, 1],
    ['a time before all records', { to_ms: START_MS }, () => false, 1],
  ];

  it.each(FILTERS)(
    'by %s is the same in pages as as a whole, and no page looks at much',
    async (_, filter, fits, streams) => {
      const wanted = written.filter(fits).map(({ place }) => place);
      const found: number[] = [];
      let place: number | null = null;
      let pages = 0;
      do {
        const before: number | null = place;
        await expectBounded(async () => {
          const page = await listRecords(store.read, { filter, beforePlace: before, limit: 200 });
          expect(page.rows.length).toBeLessThanOrEqual(200);
          found.push(...page.rows.map((row) => row.place));
          place = page.next;
        }, streams * MAX_RECORDS);
        pages += 1;
      } while (place !== null);
      expect(found).toEqual(wanted.toReversed());
      expect(pages).toBeLessThanOrEqual(
        2 + Math.ceil(wanted.length / 200) + Math.ceil(RECORDS / MAX_RECORDS),
      );
    },
  );

  it('by an account that is known is found by its index alone', async () => {
    const row = { ...{ id: ALEX, kind: 'person', person: null, issuer: 'x' }, principal: '{}' };
    await store.writer.write((tx) => upsertPrincipal(tx, { ...row, first_seen_ms: 1, last_seen_ms: 1 }));
    const wanted = written.filter(({ who }) => who === 'alex').map(({ place }) => place);
    await expectBounded(async () => {
      const page = await listRecords(store.read, {
        filter: { principal: ALEX },
        beforePlace: null,
        limit: 50,
      });
      expect([page.rows.map(({ place }) => place), page.next]).toEqual([wanted.toReversed(), null]);
    }, wanted.length);
  });

  it('by a time does not go on before it', async () => {
    const filter = { from_ms: START_MS + 12_000, operation: 'key.rotate' };
    expect(await listRecords(store.read, { filter, beforePlace: null, limit: 50 })).toEqual({
      rows: [],
      next: null,
    });
  });

  it('by the beginning of an id is the same, however many ids begin so', async () => {
    const all = (await listRecords(store.read, { filter: {}, beforePlace: null, limit: RECORDS })).rows;
    const ids = all.map((row) => (JSON.parse(row.details) as { id: string }).id);
    for (const length of [2, 9, 13, 36]) {
      const id = String(ids[4000]).slice(0, length);
      const wanted = all.filter((_, index) => ids[index]?.startsWith(id) === true).map((row) => row.place);
      const found: number[] = [];
      let place: number | null = null;
      do {
        const before: number | null = place;
        await expectBounded(async () => {
          const page = await listRecords(store.read, { filter: { id }, beforePlace: before, limit: 200 });
          found.push(...page.rows.map((row) => row.place));
          place = page.next;
        }, 2 * MAX_RECORDS);
      } while (place !== null);
      expect(found).toEqual(wanted);
    }
  });

  it('ends exactly where nothing more fits', async () => {
    const filter = { flag: 'rare' };
    const all = written.filter(({ flag }) => flag === 'rare').length;
    const page = await listRecords(store.read, { filter, beforePlace: null, limit: all });
    expect([page.rows.length, page.next]).toEqual([all, null]);
    const less = await listRecords(store.read, { filter, beforePlace: null, limit: all - 1 });
    expect(less.next).toBe(less.rows.at(-1)?.place);
  });
});

describe('requests', () => {
  const visible: VisibleRequests[] = [null, 'staging', 'production'].map((environment) => ({
    environment,
    namespaces: ['shop'],
    others: true,
  }));
  const isVisible = ({ namespace }: Asked) => namespace !== 'hidden';
  const FILTERS: readonly [string, RequestFilter, (row: Asked) => boolean, number][] = [
    ['everything', {}, () => true, 1],
    ['a flag of many', { flag: 'busy' }, ({ flag }) => flag === 'busy', 1],
    ['a flag of few', { flag: 'rare' }, ({ flag }) => flag === 'rare', 1],
    ['a flag of none', { flag: 'none' }, () => false, 1],
    ['a kind of one', { kind: 'freeze.lift' }, ({ kind }) => kind === 'freeze.lift', 1],
    ['a kind of none', { kind: 'none' }, () => false, 1],
    ['an environment of none', { environment: 'none' }, () => false, 1],
    ['an environment', { environment: 'staging' }, ({ environment }) => environment === 'staging', 1],
    ['a state of few', { state: ['pending', 'ready'] }, ({ state }) => state === 'pending', 2],
    ['states of many', { state: ['applied', 'rejected'] }, ({ state }) => state !== 'pending', 2],
    ['a proposer', { proposer: 'person:demo:alex' }, ({ proposer }) => proposer === 'person:demo:alex', 1],
    [
      'several at once',
      { flag: 'busy', state: ['applied'], kind: 'flag.change', environment: 'staging' },
      ({ flag, state, environment }) => flag === 'busy' && state === 'applied' && environment === 'staging',
      1,
    ],
  ];

  it.each(FILTERS)(
    'by %s are the same in pages as as a whole, and no page looks at much',
    async (_, filter, fits, streams) => {
      const wanted = asked.filter((row) => isVisible(row) && fits(row)).map(({ id }) => id);
      const found: string[] = [];
      let id: string | null = null;
      do {
        const before: string | null = id;
        await expectBounded(async () => {
          const page = await listRequests(store.read, { filter, visible, beforeId: before, limit: 200 });
          found.push(...page.rows.map((row) => row.id));
          id = page.next;
        }, streams * MAX_REQUESTS);
      } while (id !== null);
      expect(found).toEqual(wanted.toReversed());
    },
  );

  it('by the beginning of an id are the same', async () => {
    const id = String(asked[2000]?.id).slice(0, 12);
    const wanted = asked.filter((row) => isVisible(row) && row.id.startsWith(id)).map((row) => row.id);
    await expectBounded(async () => {
      const page = await listRequests(store.read, { filter: { id }, visible, beforeId: null, limit: 200 });
      expect(page.rows.map((row) => row.id)).toEqual(wanted.toReversed().slice(0, 200));
    }, MAX_REQUESTS);
  });

  it('are looked for in the places that there are, without reading all of them', async () => {
    await expectBounded(async () => {
      expect(await listRequestPlaces(store.read)).toEqual({
        environments: [null, 'lonely', 'production', 'staging'],
        namespaces: ['hidden', 'shop'],
      });
    }, 10);
  });
});

describe('a log whose clock was set back', () => {
  it('is searched by time as a whole, because its places do not follow its times', async () => {
    const times: number[] = [];
    let time = START_MS + 3_600_000;
    const elsewhere = await createPlace();
    const own = await openStore({ file: elsewhere.database, clock: () => time });
    const note = (given: Partial<Entry> = {}) =>
      own.writer.write(async (tx) => {
        if (given.operation === 'clock.accept') acceptClock(tx);
        times.push((await append(tx, entryOf(tx, given))) && time);
      });
    for (let count = 0; count < 5; count += 1) await note();
    time = START_MS;
    await note({ principal: operatorPrincipal, operation: 'clock.accept' });
    for (let count = 0; count < 5; count += 1) {
      time += 1000;
      await note();
    }
    for (const filter of [{ from_ms: START_MS + 3000 }, { to_ms: START_MS + 3000 }] as RecordFilter[]) {
      const { from_ms = 0, to_ms = Number.MAX_SAFE_INTEGER } = filter;
      const wanted = times.flatMap((at, index) => (at >= from_ms && at < to_ms ? [index + 1] : []));
      const { rows, next } = await listRecords(own.read, { filter, beforePlace: null, limit: 50 });
      expect([rows.map(({ place }) => place), next]).toEqual([wanted.toReversed(), null]);
    }
    await own.close();
    await elsewhere.remove();
  });
});
