import { isAmong } from './dialect.ts';
import type { BreakglassSessionsTable, FreezesTable } from './schema.ts';
import { type Db, settledStatement, type Tx } from './statement.ts';

const listActiveFreezesStatement = settledStatement<Record<never, never>, FreezesTable>('freezes', (db) =>
  db.selectFrom('freezes').selectAll().where('lifted_ms', 'is', null).orderBy('engaged_ms'),
);
const listOpenSessionsStatement = settledStatement<{ now_ms: number }, BreakglassSessionsTable>(
  'breakglass_sessions',
  (db, p) =>
    db
      .selectFrom('breakglass_sessions')
      .selectAll()
      .where('closed_ms', 'is', null)
      .where('opened_ms', '<=', p('now_ms'))
      .where('expires_ms', '>', p('now_ms')),
);

const lastExpiryStatement = settledStatement<Record<never, never>, { expires_ms: number | null }>(
  'breakglass_sessions',
  (db) =>
    db
      .selectFrom('breakglass_sessions')
      .select((e) => e.fn.max('expires_ms').as('expires_ms'))
      .where('closed_ms', 'is', null),
);

/** Tells the writes of a batch that there is no active freeze. */
export function knowNoFreeze(tx: Tx): void {
  listActiveFreezesStatement.know(tx, {}, []);
}

/** Tells the writes of a batch when the last session expires that is not closed; null: there is none. */
export function knowLastExpiry(tx: Tx, expiresMs: number | null): void {
  lastExpiryStatement.know(tx, {}, [{ expires_ms: expiresMs }]);
}

/** The active freezes. Read in the writing transaction, so that they apply to every write in flight. */
export async function listActiveFreezes(db: Db): Promise<FreezesTable[]> {
  return (await listActiveFreezesStatement(db, {})).rows;
}

/** One freeze, lifted or not. */
export async function findFreeze(db: Db, id: string): Promise<FreezesTable | undefined> {
  return db.selectFrom('freezes').selectAll().where('id', '=', id).executeTakeFirst();
}

/** All freezes, newest first. */
export async function listFreezes(db: Db): Promise<FreezesTable[]> {
  return db.selectFrom('freezes').selectAll().orderBy('id', 'desc').execute();
}

/** The freezes with these ids. */
export function listFreezesAmong(db: Db, ids: readonly string[]): Promise<FreezesTable[]> {
  return db
    .selectFrom('freezes')
    .selectAll()
    .where(isAmong(db, 'id', ids))
    .execute();
}

/** Stores a freeze, which is active from the commit of this transaction. */
export async function insertFreeze(tx: Tx, row: FreezesTable): Promise<void> {
  await tx.insertInto('freezes').values(row).execute();
}

/** Lifts a freeze. @returns false if it was already lifted */
export async function liftFreeze(
  tx: Tx,
  id: string,
  by: { request_id: string; at_ms: number },
): Promise<boolean> {
  const result = await tx
    .updateTable('freezes')
    .set({ lifted_ms: by.at_ms, lifted_by_request: by.request_id })
    .where('id', '=', id)
    .where('lifted_ms', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** All open, unexpired break-glass sessions, newest first. One that was opened in the future is none. */
export async function listOpenSessions(db: Db, nowMs: number): Promise<BreakglassSessionsTable[]> {
  const [last] = (await lastExpiryStatement(db, {})).rows;
  if ((last?.expires_ms ?? 0) <= nowMs) return [];
  const { rows } = await listOpenSessionsStatement(db, { now_ms: nowMs });
  return rows.toSorted((one, other) => other.opened_ms - one.opened_ms);
}

/** One session by id. */
export async function findSession(db: Db, id: string): Promise<BreakglassSessionsTable | undefined> {
  return db.selectFrom('breakglass_sessions').selectAll().where('id', '=', id).executeTakeFirst();
}

/** All sessions, newest first. */
export async function listSessions(db: Db): Promise<BreakglassSessionsTable[]> {
  return db.selectFrom('breakglass_sessions').selectAll().orderBy('id', 'desc').execute();
}

/** The persons who opened a session since a time, once for each session, under the names that they had then. */
export async function listOpenersSince(db: Db, sinceMs: number): Promise<string[]> {
  const rows = await db
    .selectFrom('breakglass_sessions')
    .select('person')
    .where('opened_ms', '>=', sinceMs)
    .execute();
  return rows.map(({ person }) => person);
}

/** Stores a new session. */
export async function insertSession(tx: Tx, row: BreakglassSessionsTable): Promise<void> {
  await tx.insertInto('breakglass_sessions').values(row).execute();
}

/**
 * Closes the sessions that are not over and were opened after a time.
 *
 * @param afterMs default: the time of the closing
 */
export async function closeSessionsAfter(tx: Tx, atMs: number, afterMs = atMs): Promise<void> {
  await tx
    .updateTable('breakglass_sessions')
    .set({ closed_ms: atMs })
    .where('closed_ms', 'is', null)
    .where('expires_ms', '>', atMs)
    .where('opened_ms', '>', afterMs)
    .execute();
}

/** Closes a session early. */
export async function closeSession(tx: Tx, id: string, atMs: number): Promise<void> {
  await tx.updateTable('breakglass_sessions').set({ closed_ms: atMs }).where('id', '=', id).execute();
}
