import type { Insertable } from 'kysely';
import type { DecisionsTable, RecordFlagsTable, RecordsTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Marks a record that concerns every environment; no environment can have this key. */
export const EVERY_ENVIRONMENT = '*';

type NewRecord = Omit<Insertable<RecordsTable>, 'seq'>;

const insertRecordStatement = statement<NewRecord, { seq: number }>((db, p) =>
  db
    .insertInto('records')
    .values({
      id: p('id'),
      at_ms: p('at_ms'),
      operation: p('operation'),
      outcome: p('outcome'),
      principal_id: p('principal_id'),
      person: p('person'),
      environment: p('environment'),
      request_id: p('request_id'),
      policy_hash: p('policy_hash'),
      record: p('record'),
    })
    .returning('seq'),
);
const insertRecordFlagStatement = statement<RecordFlagsTable>((db, p) =>
  db.insertInto('record_flags').values({ flag: p('flag'), seq: p('seq') }),
);
const insertDecisionStatement = statement<DecisionsTable>((db, p) =>
  db.insertInto('decisions').values({ id: p('id'), input: p('input'), result: p('result') }),
);

/** Appends a record row. @returns its sequence number: its place in the log */
export async function insertRecord(tx: Tx, record: NewRecord): Promise<number> {
  const { rows } = await insertRecordStatement(tx, record);
  const seq = rows[0]?.seq;
  if (seq === undefined) throw new Error('the store returned no sequence number');
  return seq;
}

/** Notes that a record is about a flag, so that it is found by it. */
export async function insertRecordFlag(tx: Tx, row: RecordFlagsTable): Promise<void> {
  await insertRecordFlagStatement(tx, row);
}

/** Keeps input and result of a decision for replay. */
export async function insertDecision(tx: Tx, row: DecisionsTable): Promise<void> {
  await insertDecisionStatement(tx, row);
}

/** What {@link listRecords} selects by; every part is optional. */
export interface RecordFilter {
  flag?: string;
  environment?: string;
  principal?: string;
  operation?: string;
  request?: string;
  /** From this moment on, epoch milliseconds. */
  from_ms?: number;
  /** Before this moment. */
  to_ms?: number;
}

/** Records newest first, those before `beforeSeq` only. */
export async function listRecords(
  db: Db,
  options: { filter: RecordFilter; beforeSeq: number | null; limit: number },
): Promise<{ seq: number; record: string }[]> {
  const { filter } = options;
  let query = db.selectFrom('records').select(['records.seq', 'records.record']);
  if (filter.flag !== undefined) {
    query = query
      .innerJoin('record_flags', 'record_flags.seq', 'records.seq')
      .where('record_flags.flag', '=', filter.flag);
  }
  if (filter.environment !== undefined) {
    const environment = filter.environment;
    query = query.where('records.environment', 'in', [environment, EVERY_ENVIRONMENT]);
  }
  if (filter.principal !== undefined) {
    const principal = filter.principal;
    query = query.where((e) =>
      e.or([e('records.principal_id', '=', principal), e('records.person', '=', principal)]),
    );
  }
  if (filter.operation !== undefined) query = query.where('records.operation', '=', filter.operation);
  if (filter.request !== undefined) query = query.where('records.request_id', '=', filter.request);
  if (filter.from_ms !== undefined) query = query.where('records.at_ms', '>=', filter.from_ms);
  if (filter.to_ms !== undefined) query = query.where('records.at_ms', '<', filter.to_ms);
  if (options.beforeSeq !== null) query = query.where('records.seq', '<', options.beforeSeq);
  return query.orderBy('records.seq', 'desc').limit(options.limit).execute();
}

/** The human who was behind a principal when it was recorded last, or null. */
export async function findPersonOf(db: Db, principalId: string): Promise<string | null> {
  const row = await db
    .selectFrom('records')
    .select('person')
    .where('principal_id', '=', principalId)
    .where('person', 'is not', null)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.person ?? null;
}

/** The record of an approval that a person gave at a moment, or undefined. */
export async function findApprovalRecord(
  db: Db,
  vote: { request_id: string; person: string; at_ms: number },
): Promise<string | undefined> {
  const row = await db
    .selectFrom('records')
    .select('record')
    .where('request_id', '=', vote.request_id)
    .where('operation', '=', 'request.approve')
    .where('outcome', '=', 'allow')
    .where('person', '=', vote.person)
    .where('at_ms', '=', vote.at_ms)
    .executeTakeFirst();
  return row?.record;
}

/** The records of the edits of a request that were not denied, oldest first. */
export async function listEditRecords(db: Db, requestId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('records')
    .select('record')
    .where('request_id', '=', requestId)
    .where('operation', 'in', ['request.edit', 'request.schedule'])
    .where('outcome', '!=', 'deny')
    .orderBy('seq')
    .execute();
  return rows.map(({ record }) => record);
}

/** The decisions that allowed an operation since a moment, with their inputs, newest first, at most `limit`. */
export function listAllowed(
  db: Db,
  options: { operation: string; from_ms: number; limit: number },
): Promise<{ at_ms: number; record: string; input: string }[]> {
  return db
    .selectFrom('records')
    .innerJoin('decisions', 'decisions.id', 'records.id')
    .select(['records.at_ms', 'records.record', 'decisions.input'])
    .where('records.at_ms', '>=', options.from_ms)
    .where('records.operation', '=', options.operation)
    .where('records.outcome', '=', 'allow')
    .orderBy('records.seq', 'desc')
    .limit(options.limit)
    .execute();
}

/** One record with the input and result of its decision, or undefined. */
export async function findRecord(
  db: Db,
  id: string,
): Promise<{ seq: number; record: string; input: string; result: string } | undefined> {
  return db
    .selectFrom('records')
    .innerJoin('decisions', 'decisions.id', 'records.id')
    .select(['records.seq', 'records.record', 'decisions.input', 'decisions.result'])
    .where('records.id', '=', id)
    .executeTakeFirst();
}
