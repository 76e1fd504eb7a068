import { CompiledQuery } from 'kysely';
import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listAppliedIn } from '../../src/store/applied.ts';
import { openStore } from '../../src/store/database.ts';
import { countAtGate, countOwned, listAtGate, listGates, listOwned } from '../../src/store/inbox.ts';
import { insertRequest, upsertVote } from '../../src/store/requests.ts';
import type { Store } from '../../src/store/store.ts';
import { countByDay, listAppliedTimes } from '../../src/store/summary.ts';
import { createPlace, type Place } from '../support/place.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { requestRow } from '../support/request-row.ts';

/*
 * What waits for whom is found by indices on every engine, among any number of requests: the plans of the statements say so.
 */

const NOW_MS = 1_795_000_000_000;
const REQUESTS = 4000;
const PERSON = 'emp-1';

interface Written {
  id: string;
  gate: string | null;
  owner: string | null;
  isVoted: boolean;
}

let place: Place;
let store: Store;
const written: Written[] = [];

beforeAll(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: () => NOW_MS });
  for (let from = 0; from < REQUESTS; from += 1000) {
    await store.writer.write(async (tx) => {
      for (let number = from; number < from + 1000; number += 1) await writeRequest(tx, number);
    });
  }
  if (IS_POSTGRES) await onServer('analyze requests');
}, 60_000);

afterAll(async () => {
  await store.close();
  await place.remove();
});

/** Most requests are closed; of the others some have votes of the person, of their content and of another one. */
async function writeRequest(
  tx: Parameters<Parameters<Store['writer']['write']>[0]>[0],
  number: number,
): Promise<void> {
  const isOpen = number % 20 === 0;
  const id = uuidv7({ msecs: NOW_MS + number });
  const gate = isOpen ? `gate-${(number / 20) % 3}` : null;
  const owner = isOpen ? `emp-${(number / 20) % 5}` : null;
  await insertRequest(
    tx,
    { ...requestRow(id), state: isOpen ? 'pending' : 'applied', gate, owner },
    { flags: [], namespaces: [] },
  );
  const digest = ['d', 'other', null][(number / 20) % 7] ?? null;
  if (isOpen && digest !== null) {
    const vote = { request_id: id, person: PERSON, verdict: 'approve', digest, principal: '{}' };
    await upsertVote(tx, { ...vote, comment: null, at_ms: 1, voided_ms: null, decision_id: null });
  }
  written.push({ id, gate, owner, isVoted: digest === 'd' });
}

const waiting = (gate: string) =>
  written
    .filter((row) => row.gate === gate && row.owner !== PERSON && !row.isVoted)
    .map(({ id }) => id)
    .sort();

it('finds exactly the requests of a gate that its person neither wrote nor voted on', async () => {
  expect(await listGates(store.read)).toEqual(['gate-0', 'gate-1', 'gate-2']);
  for (const gate of ['gate-0', 'gate-1', 'gate-2', 'gate-none']) {
    const wanted = waiting(gate);
    const found: string[] = [];
    for (let after = ''; ; after = found.at(-1) ?? '') {
      const page = await listAtGate(store.read, { gate, names: [PERSON], after, limit: 7 });
      found.push(...page);
      if (page.length < 7) break;
    }
    expect(found).toEqual(wanted);
    expect(await countAtGate(store.read, { gate, names: [PERSON], limit: 1000 })).toBe(wanted.length);
    expect(await countAtGate(store.read, { gate, names: [PERSON], limit: 5 })).toBe(
      Math.min(5, wanted.length),
    );
  }
  const own = written.filter(({ owner }) => owner === PERSON).map(({ id }) => id);
  const owned = await listOwned(store.read, { owner: PERSON, after: '', limit: 1000 });
  expect(owned.map(({ id }) => id)).toEqual(own.sort());
  expect(await countOwned(store.read, { owner: PERSON, limit: 3 })).toBe(3);
});

it('reads no table and no whole index for it', async () => {
  const gate = { gate: 'gate-1', names: [PERSON] };
  const LOOKS: readonly [string, () => Promise<unknown>][] = [
    ['requests_gate', () => listGates(store.read)],
    ['requests_gate', () => listAtGate(store.read, { ...gate, after: '', limit: 50 })],
    ['requests_gate', () => countAtGate(store.read, { ...gate, limit: 101 })],
    ['requests_owner', () => listOwned(store.read, { owner: PERSON, after: '', limit: 50 })],
    ['requests_owner', () => countOwned(store.read, { owner: PERSON, limit: 101 })],
  ];
  for (const [index, look] of LOOKS) {
    const [query, ...others] = await queriesOf(look);
    if (query === undefined) throw new Error('no statement ran');
    expect(others).toEqual([]);
    const plan = await planOf(query);
    expect(plan).toContain(index);
    // PostgreSQL may sort the few rows that the index finds.
    expect(plan).not.toMatch(/Seq Scan on requests|SCAN requests|TEMP B-TREE/);
  }
});

it.skipIf(IS_POSTGRES)('counts for charts, and finds what was applied, by indices', async () => {
  const span = { from_ms: 0, to_ms: NOW_MS };
  const LOOKS: readonly [string, () => Promise<unknown>][] = [
    ['record_details_held', () => countByDay(store.read, { outcome: 'deny', ...span })],
    ['requests_applied', () => listAppliedTimes(store.read, { ...span, limit: 10 })],
    ['requests_applied', () => listAppliedIn(store.read, { ...applied, from: null })],
    ['requests_applied', () => listAppliedIn(store.read, { ...applied, from: { ms: 1, id: 'x' } })],
  ];
  for (const [index, look] of LOOKS) {
    const [query] = await queriesOf(look);
    if (query === undefined) throw new Error('no statement ran');
    const plan = await planOf(query);
    expect(plan).toContain(index);
    expect(plan).not.toMatch(/SCAN (requests|record_details)/);
  }
});

const applied = { environment: 'production', since_ms: 0, limit: 10 };

/** The statements that some work runs on the reading connection. */
async function queriesOf(work: () => Promise<unknown>): Promise<CompiledQuery[]> {
  const executor = store.read.getExecutor();
  const own = executor.executeQuery.bind(executor);
  const queries: CompiledQuery[] = [];
  executor.executeQuery = (query: CompiledQuery, ...rest: never[]) => {
    queries.push(query);
    return own(query as never, ...rest) as never;
  };
  try {
    await work();
  } finally {
    executor.executeQuery = own;
  }
  return queries;
}

async function planOf({ sql, parameters }: CompiledQuery): Promise<string> {
  if (!IS_POSTGRES) {
    const query = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]);
    return toText((await store.read.executeQuery(query)).rows);
  }
  // In a statement of its own, because a connection for reads explains nothing.
  const literals = sql.replaceAll(/\$(\d+)/g, (_, number: string) => {
    const value = parameters[Number(number) - 1];
    if (typeof value === 'number') return String(value);
    return Array.isArray(value) ? `'{${value.join(',')}}'` : `'${value}'`;
  });
  return toText(await onServer(`explain ${literals}`));
}

function toText(rows: readonly unknown[]): string {
  return rows.map((row) => Object.values(row as object).join(' ')).join('\n');
}

async function onServer(text: string): Promise<unknown[]> {
  return (await import('../support/postgres.ts')).runAt(place.database, text);
}
