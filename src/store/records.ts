import { leafHash } from '../tree/hashes.ts';
import { ARCHIVE_PLACE, type ArchivePlace } from './archived-inputs.ts';
import { batchOf, takePlace } from './batch.ts';
import { isAmong, memberNumber } from './dialect.ts';
import { OPEN_STATES } from './request-states.ts';
import type { LeavesTable, RecordDetailsTable, RecordFlagsTable } from './schema-log.ts';
import { type Db, deferredInsert, statement, type Tx } from './statement.ts';

/** Marks a record that concerns every environment; no environment can have this key. */
export const EVERY_ENVIRONMENT = '*';

const findLeafStatement = statement<{ place: number }, Pick<LeavesTable, 'leaf'>>((db, p) =>
  db.selectFrom('leaves').select('leaf').where('place', '=', p('place')),
);
const insertLeaf = deferredInsert<LeavesTable>('leaves', ['place', 'schema_version', 'leaf']);
const insertDetails = deferredInsert<RecordDetailsTable>('record_details', [
  'place',
  'id',
  'at_ms',
  'operation',
  'outcome',
  'principal_id',
  'person',
  'environment',
  'request_id',
  'policy_hash',
  'stage',
  'salt',
  'details',
  'input',
  'result',
]);
const insertRecordFlag = deferredInsert<RecordFlagsTable>('record_flags', ['flag', 'place']);

/**
 * Appends a leaf with its readable details, at the next place.
 *
 * @param record.flags the flags of the record, for queries
 * @returns its place in the log
 */
export async function insertRecord(
  tx: Tx,
  record: {
    leaf: Omit<LeavesTable, 'place'>;
    details: Omit<RecordDetailsTable, 'place'>;
    flags: Iterable<string>;
  },
): Promise<number> {
  const place = takePlace(tx, record.details.at_ms);
  await insertLeaf(tx, { place, ...record.leaf });
  batchOf(tx).leaves.set(place, leafHash(record.leaf.leaf));
  await insertDetails(tx, { place, ...record.details });
  for (const flag of record.flags) await insertRecordFlag(tx, { flag, place });
  return place;
}

/** The leaf at a place, or undefined. */
export async function findLeaf(db: Db, place: number): Promise<string | undefined> {
  return (await findLeafStatement(db, { place })).rows[0]?.leaf;
}

/** The place of a record, by its place or the id of its decision. Undefined if there is none, or its id was erased. */
export async function findPlaceOf(db: Db, record: string): Promise<number | undefined> {
  if (/^[1-9]\d{0,14}$/.test(record)) {
    const place = Number(record);
    return (await findLeaf(db, place)) === undefined ? undefined : place;
  }
  const row = await db
    .selectFrom('record_details')
    .select('place')
    .where('id', '=', record)
    .executeTakeFirst();
  return row?.place;
}

/** A record: its readable details and its leaf. */
export type StoredRecord = Pick<RecordDetailsTable, 'place' | 'details'> &
  Pick<LeavesTable, 'schema_version' | 'leaf'>;

/** The columns of a {@link StoredRecord}. */
export const STORED_RECORD = [
  'record_details.place',
  'record_details.details',
  'leaves.schema_version',
  'leaves.leaf',
] as const;

/** Whether a record is about exactly this environment. */
export async function hasRecordsOf(db: Db, environment: string): Promise<boolean> {
  const row = await db
    .selectFrom('record_details')
    .select('place')
    .where('environment', '=', environment)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** The number of decisions that the policy of a stage made in a time, both ends included, at most `limit`. Erased ones are not counted. */
export async function countDecisions(
  db: Db,
  { stage, from_ms, to_ms, limit }: { stage: string; from_ms: number; to_ms: number; limit: number },
): Promise<number> {
  const { count } = await db
    .selectFrom((from) =>
      from
        .selectFrom('record_details')
        .select('place')
        .where('stage', '=', stage)
        .where('at_ms', '>=', from_ms)
        .where('at_ms', '<=', to_ms)
        .limit(limit)
        .as('made'),
    )
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

/** The human behind a principal in its last record, or null. */
export async function findPersonOf(db: Db, principalId: string): Promise<string | null> {
  const row = await db
    .selectFrom('record_details')
    .select('person')
    .where('principal_id', '=', principalId)
    .where('person', 'is not', null)
    .orderBy('place', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.person ?? null;
}

/** The details of one record, or undefined. */
export async function findDetails(db: Db, id: string): Promise<string | undefined> {
  const row = await db.selectFrom('record_details').select('details').where('id', '=', id).executeTakeFirst();
  return row?.details;
}

/**
 * The details of the proposal, edits and schedules of a request that were not denied, oldest first, with the time at which
 * the credential of each was issued.
 */
export function listAuthored(
  db: Db,
  requestId: string,
): Promise<{ details: string; issued_ms: number | null }[]> {
  return db
    .selectFrom('record_details')
    .select(['details', memberNumber(db, 'input', ['principal', 'token', 'issued_ms']).as('issued_ms')])
    .where('request_id', '=', requestId)
    .where('operation', 'in', ['request.propose', 'request.edit', 'request.schedule'])
    .where('outcome', '!=', 'deny')
    .orderBy('place')
    .execute();
}

/** The decisions that allowed an operation since a time, with their inputs, newest first, at most `limit`. */
export function listAllowed(
  db: Db,
  options: { operation: string; from_ms: number; limit: number },
): Promise<Pick<RecordDetailsTable, 'at_ms' | 'details' | 'input'>[]> {
  return db
    .selectFrom('record_details')
    .select(['at_ms', 'details', 'input'])
    .where('at_ms', '>=', options.from_ms)
    .where('operation', '=', options.operation)
    .where('outcome', '=', 'allow')
    .orderBy('place', 'desc')
    .limit(options.limit)
    .execute();
}

/** One record with the result of its decision, and where its input is, or undefined. */
export async function findRecord(
  db: Db,
  id: string,
): Promise<(StoredRecord & Pick<RecordDetailsTable, 'id' | 'input' | 'result'> & ArchivePlace) | undefined> {
  return db
    .selectFrom('record_details')
    .innerJoin('leaves', 'leaves.place', 'record_details.place')
    .leftJoin('archived_inputs as archived', 'archived.place', 'record_details.place')
    .leftJoin('archives', 'archives.place', 'archived.archived_by')
    .select([
      ...STORED_RECORD,
      ...ARCHIVE_PLACE,
      'record_details.id',
      'record_details.input',
      'record_details.result',
    ])
    .where('record_details.id', '=', id)
    .executeTakeFirst();
}

/** The places in one statement. */
const PLACES_AT_ONCE = 500;

/** Ids of the open requests that the given records are about. */
export async function listOpenRequestsOf(db: Db, places: readonly number[]): Promise<string[]> {
  const open = new Set<string>();
  for (const some of inParts(places)) {
    const rows = await db
      .selectFrom('record_details')
      .innerJoin('requests', 'requests.id', 'record_details.request_id')
      .select('requests.id')
      .where(isAmong(db, 'record_details.place', some))
      .where('requests.state', 'in', OPEN_STATES)
      .execute();
    for (const { id } of rows) open.add(id);
  }
  return [...open];
}

/** Those of the given places whose details are not erased, in their order. */
export async function listReadable(db: Db, places: readonly number[]): Promise<number[]> {
  const readable = new Set<number>();
  for (const some of inParts(places)) {
    const rows = await db
      .selectFrom('record_details')
      .select('place')
      .where(isAmong(db, 'place', some))
      .execute();
    for (const { place } of rows) readable.add(place);
  }
  return [...new Set(places)].filter((place) => readable.has(place));
}

function inParts(places: readonly number[]): number[][] {
  const parts: number[][] = [];
  for (let from = 0; from < places.length; from += PLACES_AT_ONCE)
    parts.push(places.slice(from, from + PLACES_AT_ONCE));
  return parts;
}
