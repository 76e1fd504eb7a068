import { sql } from 'kysely';
import { isMember } from './dialect.ts';
import { OPEN_STATES } from './request-states.ts';
import type { RequestFlagsTable, RequestNamespacesTable, RequestsTable, VotesTable } from './schema.ts';
import {
  certainStatement,
  type Db,
  deferredInsert,
  settledStatement,
  statement,
  type Tx,
} from './statement.ts';

const insertRow = deferredInsert<RequestsTable>('requests', [
  'id',
  'kind',
  'environment',
  'state',
  'revision',
  'digest',
  'content',
  'plan',
  'proposer',
  'proposer_id',
  'authors',
  'created_ms',
  'updated_ms',
  'expires_ms',
  'due_ms',
  'held_by',
  'gate',
  'owner',
  'demands',
  'standing',
  'decision_id',
]);
const insertFlag = deferredInsert<RequestFlagsTable>('request_flags', ['flag', 'request_id']);
const insertNamespace = deferredInsert<RequestNamespacesTable>('request_namespaces', [
  'request_id',
  'namespace',
]);
const updateRequestStatement = certainStatement<RequestsTable & { base: number }>((db, p) =>
  db
    .updateTable('requests')
    .set({
      state: p('state'),
      revision: p('revision'),
      digest: p('digest'),
      content: p('content'),
      plan: p('plan'),
      authors: p('authors'),
      updated_ms: p('updated_ms'),
      expires_ms: p('expires_ms'),
      due_ms: p('due_ms'),
      held_by: p('held_by'),
      gate: p('gate'),
      owner: p('owner'),
      demands: p('demands'),
      standing: p('standing'),
      decision_id: p('decision_id'),
    })
    .where('id', '=', p('id'))
    .where('revision', '=', p('base')),
);
const addRequestFlagStatement = statement<RequestFlagsTable>((db, p) =>
  db
    .insertInto('request_flags')
    .values({ flag: p('flag'), request_id: p('request_id') })
    .onConflict((conflict) => conflict.doNothing()),
);
const addRequestNamespaceStatement = statement<RequestNamespacesTable>((db, p) =>
  db
    .insertInto('request_namespaces')
    .values({ request_id: p('request_id'), namespace: p('namespace') })
    .onConflict((conflict) => conflict.doNothing()),
);
const findRequestStatement = settledStatement<{ id: string }, RequestsTable>('requests', (db, p) =>
  db.selectFrom('requests').selectAll().where('id', '=', p('id')),
);
const makeDueStatement = statement<{ id: string; due_ms: number }>((db, p) =>
  db
    .updateTable('requests')
    .set({ due_ms: p('due_ms') })
    .where('id', '=', p('id'))
    .where('state', 'in', OPEN_STATES),
);
const upsertVoteStatement = certainStatement<VotesTable>((db, p) =>
  db
    .insertInto('votes')
    .values({
      request_id: p('request_id'),
      person: p('person'),
      verdict: p('verdict'),
      digest: p('digest'),
      principal: p('principal'),
      comment: p('comment'),
      at_ms: p('at_ms'),
      voided_ms: p('voided_ms'),
      decision_id: p('decision_id'),
    })
    .onConflict((conflict) =>
      conflict.columns(['request_id', 'person']).doUpdateSet((e) => ({
        verdict: e.ref('excluded.verdict'),
        digest: e.ref('excluded.digest'),
        principal: e.ref('excluded.principal'),
        comment: e.ref('excluded.comment'),
        at_ms: e.ref('excluded.at_ms'),
        voided_ms: e.ref('excluded.voided_ms'),
        decision_id: e.ref('excluded.decision_id'),
      })),
    ),
);
const listVotesStatement = settledStatement<{ request_id: string }, VotesTable>('votes', (db, p) =>
  db.selectFrom('votes').selectAll().where('request_id', '=', p('request_id')),
);

/** What lists find a request by, besides its own columns. */
export interface RequestTouches {
  /** The flags that it touches. */
  flags: readonly string[];
  /** The namespaces whose readers may see it. */
  namespaces: readonly string[];
}

/** Stores a new request and what it touches. */
export async function insertRequest(tx: Tx, row: RequestsTable, touches: RequestTouches): Promise<void> {
  const request_id = row.id;
  await insertRow(tx, row);
  for (const flag of new Set(touches.flags)) await insertFlag(tx, { flag, request_id });
  for (const namespace of new Set(touches.namespaces)) await insertNamespace(tx, { request_id, namespace });
}

/** Stores what a request touches after an edit. Flags are only added; the namespaces are those of the new content. */
export async function editTouches(tx: Tx, requestId: string, touches: RequestTouches): Promise<void> {
  await tx.deleteFrom('request_namespaces').where('request_id', '=', requestId).execute();
  await addTouches(tx, requestId, touches);
}

async function addTouches(tx: Tx, request_id: string, { flags, namespaces }: RequestTouches): Promise<void> {
  for (const flag of flags) await addRequestFlagStatement(tx, { flag, request_id });
  for (const namespace of namespaces) await addRequestNamespaceStatement(tx, { request_id, namespace });
}

/**
 * Writes a request's next revision.
 *
 * @throws Error if the stored revision is not `row.revision - 1`; in the writing transaction that is a programming error
 */
export async function updateRequest(tx: Tx, row: RequestsTable): Promise<void> {
  const base = row.revision - 1;
  const otherwise = `request ${row.id} is not at revision ${base}`;
  await updateRequestStatement(tx, { ...row, base }, { rows: 1, otherwise });
}

/** One request, or undefined. */
export async function findRequest(db: Db, id: string): Promise<RequestsTable | undefined> {
  return (await findRequestStatement(db, { id })).rows[0];
}

/** Stores a vote; a person's newest vote replaces the older one. */
export async function upsertVote(tx: Tx, row: VotesTable): Promise<void> {
  await upsertVoteStatement(tx, row, { rows: 1, otherwise: `no vote on ${row.request_id} was stored` });
}

/** Reads the votes on a request along with what is read next, for {@link listVotes} in the same write. */
export function expectVotes(tx: Tx, requestId: string): void {
  // Whoever lists them is told of a fault.
  listVotesStatement(tx, { request_id: requestId }).catch(() => undefined);
}

/** The newest vote of each person, in the order in which they were recorded. */
export async function listVotes(db: Db, requestId: string): Promise<VotesTable[]> {
  const { rows } = await listVotesStatement(db, { request_id: requestId });
  if (rows.length < 2) return rows;
  const places = await placesOfVotes(db, requestId);
  // Only votes that a former version stored without their decision have no place; they are the oldest.
  const placeOf = ({ decision_id }: VotesTable) => places.get(decision_id ?? '') ?? 0;
  return rows.toSorted(
    (one, other) =>
      placeOf(one) - placeOf(other) || one.at_ms - other.at_ms || (one.person < other.person ? -1 : 1),
  );
}

/** Votes in the order of the decisions that recorded them. */
async function placesOfVotes(db: Db, requestId: string): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('votes')
    .innerJoin('record_details', 'record_details.id', 'votes.decision_id')
    .select(['record_details.id', 'record_details.place'])
    .where('votes.request_id', '=', requestId)
    .execute();
  return new Map(rows.map(({ id, place }) => [id, place]));
}

/** The votes on open requests that are not void, oldest request first. */
export function listOpenVotes(db: Db): Promise<VotesTable[]> {
  return db
    .selectFrom('votes')
    .innerJoin('requests', 'requests.id', 'votes.request_id')
    .selectAll('votes')
    .where('requests.state', 'in', OPEN_STATES)
    .where('votes.voided_ms', 'is', null)
    .orderBy('votes.request_id')
    .orderBy('votes.person')
    .execute();
}

/** Voids a vote permanently. */
export async function voidVote(
  tx: Tx,
  vote: Pick<VotesTable, 'request_id' | 'person'> & { voided_ms: number },
): Promise<void> {
  await tx
    .updateTable('votes')
    .set({ voided_ms: vote.voided_ms })
    .where('request_id', '=', vote.request_id)
    .where('person', '=', vote.person)
    .execute();
}

/** Voids all votes on open requests permanently. */
export async function voidOpenVotes(tx: Tx, voidedMs: number): Promise<void> {
  await tx
    .updateTable('votes')
    .set({ voided_ms: voidedMs })
    .where('voided_ms', 'is', null)
    .where('request_id', 'in', (e) => e.selectFrom('requests').select('id').where('state', 'in', OPEN_STATES))
    .execute();
}

/** The authors of open requests: `proposer` and `authors` are JSON. */
export function listOpenAuthorship(
  db: Db,
): Promise<Pick<RequestsTable, 'id' | 'kind' | 'state' | 'proposer' | 'authors'>[]> {
  return db
    .selectFrom('requests')
    .select(['id', 'kind', 'state', 'proposer', 'authors'])
    .where('state', 'in', OPEN_STATES)
    .orderBy('id')
    .execute();
}

/** What an open request is about. */
export interface OpenRequestOf extends Pick<RequestsTable, 'id' | 'environment' | 'content'> {
  namespaces: string[];
}

/** The newest open requests that touch a flag, at most ten. */
export async function findOpenRequestsOf(db: Db, flag: string): Promise<OpenRequestOf[]> {
  const rows = await db
    .selectFrom('requests')
    .innerJoin('request_flags', 'request_flags.request_id', 'requests.id')
    .select(['requests.id', 'requests.environment', 'requests.content'])
    .where('request_flags.flag', '=', flag)
    .where('requests.state', 'in', OPEN_STATES)
    .orderBy('requests.id', 'desc')
    .limit(10)
    .execute();
  return Promise.all(
    rows.map(async (row) => {
      const found = await db
        .selectFrom('request_namespaces')
        .select('namespace')
        .where('request_id', '=', row.id)
        .execute();
      return { ...row, namespaces: found.map(({ namespace }) => namespace) };
    }),
  );
}

/** Open requests, newest first, only those before `beforeId`. */
export function listOpenRequests(
  db: Db,
  { beforeId, limit }: { beforeId: string | null; limit: number },
): Promise<RequestsTable[]> {
  let query = db.selectFrom('requests').selectAll().where('state', 'in', OPEN_STATES);
  if (beforeId !== null) query = query.where('id', '<', beforeId);
  return query.orderBy('id', 'desc').limit(limit).execute();
}

/**
 * Open requests that are due: to be applied, or past their time to live.
 *
 * @param which `ready`: those that wait only for the clock and were not denied; `other`: all others
 */
export async function listDueRequests(
  db: Db,
  nowMs: number,
  { which, limit }: { which: 'ready' | 'other'; limit: number },
): Promise<string[]> {
  const isDenied = isMember(db, { column: 'standing', path: ['effect'], text: 'deny' });
  const isReady = sql<boolean>`(state = 'ready' and not ${isDenied})`;
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('due_ms', 'is not', null)
    .where('due_ms', '<=', nowMs)
    .where(which === 'ready' ? isReady : sql<boolean>`not ${isReady}`)
    .orderBy('due_ms')
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/**
 * The requests that were applied after a time, newest first.
 *
 * @param options `except` is the id of a request to leave out
 */
export async function listApplied(
  db: Db,
  { sinceMs, except, limit }: { sinceMs: number; except: string; limit: number },
): Promise<(Pick<RequestsTable, 'kind' | 'environment' | 'updated_ms'> & { namespaces: string[] })[]> {
  const rows = await db
    .selectFrom('requests')
    .select(['id', 'kind', 'environment', 'updated_ms'])
    // Literal, so that the index of applied requests can be used.
    .where('state', '=', sql.lit('applied'))
    .where('updated_ms', '>', sinceMs)
    .where('id', '!=', except)
    .orderBy('updated_ms', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  if (rows.length === 0) return [];
  const places = await db
    .selectFrom('request_namespaces')
    .selectAll()
    .where(
      'request_id',
      'in',
      rows.map(({ id }) => id),
    )
    .orderBy('namespace')
    .execute();
  const byRequest = Map.groupBy(places, ({ request_id }) => request_id);
  return rows.map(({ id, ...row }) => ({
    ...row,
    namespaces: (byRequest.get(id) ?? []).map(({ namespace }) => namespace),
  }));
}

/** The open requests for which somebody asks for changes: few. */
export async function listDemanded(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('demands', 'is not', null)
    .where('state', 'in', OPEN_STATES)
    .execute();
  return rows.map(({ id }) => id);
}

/** The number of open requests, by state. */
export async function countOpenRequests(db: Db): Promise<{ state: string; count: number }[]> {
  const rows = await db
    .selectFrom('requests')
    .select((e) => ['state', e.fn.countAll<number>().as('count')])
    .where('state', 'in', OPEN_STATES)
    .groupBy('state')
    .execute();
  return rows.map(({ state, count }) => ({ state, count: Number(count) }));
}

/** Makes these requests due now, if they are open, because what they depend on has changed. */
export async function makeDue(tx: Tx, ids: Iterable<string>, nowMs: number): Promise<void> {
  for (const id of new Set(ids)) await makeDueStatement(tx, { id, due_ms: nowMs });
}

/** Makes every open request due now: for what an operator decides about the whole database. */
export async function makeAllDue(tx: Tx, nowMs: number): Promise<void> {
  await tx.updateTable('requests').set({ due_ms: nowMs }).where('state', 'in', OPEN_STATES).execute();
}

/** Sets when a request is due and what holds it back, without a new revision: nothing visible has changed. */
export async function postponeRequest(
  tx: Tx,
  id: string,
  { due_ms, held_by }: Pick<RequestsTable, 'due_ms'> & Partial<Pick<RequestsTable, 'held_by'>>,
): Promise<void> {
  const values = held_by === undefined ? { due_ms } : { due_ms, held_by };
  await tx.updateTable('requests').set(values).where('id', '=', id).execute();
}
