import { isAmong } from './dialect.ts';
import type { SessionsTable, SignInsTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Why a session ended. */
export type SessionEnd = 'signed_out' | 'ended' | 'rotated' | 'logout' | 'revoked';

const findBySecretStatement = statement<{ secret_hash: string }, SessionsTable>((db, p) =>
  db.selectFrom('sessions').selectAll().where('secret_hash', '=', p('secret_hash')),
);

/** Stores a new sign-in, and deletes expired ones. */
export async function insertSignIn(tx: Tx, row: SignInsTable, nowMs: number): Promise<void> {
  await tx.deleteFrom('sign_ins').where('expires_ms', '<=', nowMs).execute();
  await tx.insertInto('sign_ins').values(row).execute();
}

/** Removes and returns a sign-in: it works once. Undefined if it was already taken or never started. */
export async function takeSignIn(tx: Tx, idHash: string): Promise<SignInsTable | undefined> {
  const row = await tx.selectFrom('sign_ins').selectAll().where('id_hash', '=', idHash).executeTakeFirst();
  if (row !== undefined) await tx.deleteFrom('sign_ins').where('id_hash', '=', idHash).execute();
  return row;
}

/** Stores a new browser session. */
export async function insertBrowserSession(tx: Tx, row: SessionsTable): Promise<void> {
  await tx.insertInto('sessions').values(row).execute();
}

/** The session of a cookie's secret, ended or not, or undefined. */
export async function findBrowserSession(db: Db, secretHash: string): Promise<SessionsTable | undefined> {
  return (await findBySecretStatement(db, { secret_hash: secretHash })).rows[0];
}

/** One session by its id, ended or not, or undefined. */
export function findBrowserSessionById(db: Db, id: string): Promise<SessionsTable | undefined> {
  return db.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The sessions with these ids, ended or not. */
export function listBrowserSessionsAmong(db: Db, ids: readonly string[]): Promise<SessionsTable[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where(isAmong(db, 'id', ids))
    .execute();
}

/**
 * The previous sessions in the same browser, which the same principal's new sign-in replaced: they ended in the write
 * that opened this one, and so at the same time. Rarely more than one.
 */
export function listFormerSessions(
  db: Db,
  { principal_id, opened_ms }: Pick<SessionsTable, 'principal_id' | 'opened_ms'>,
): Promise<SessionsTable[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('principal_id', '=', principal_id)
    .where('end_reason', '=', 'rotated')
    .where('ended_ms', '=', opened_ms)
    .where('opened_ms', '<', opened_ms)
    .execute();
}

/** The sessions of a principal that were not ended, newest first. Some may have expired. */
export function listBrowserSessions(db: Db, principalId: string): Promise<SessionsTable[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('principal_id', '=', principalId)
    .where('ended_ms', 'is', null)
    .orderBy('opened_ms', 'desc')
    .orderBy('id', 'desc')
    .execute();
}

/** All sessions that were not ended and have not reached their absolute expiry. */
export function listAllBrowserSessions(db: Db, nowMs: number): Promise<SessionsTable[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('ended_ms', 'is', null)
    .where('expires_ms', '>', nowMs)
    .orderBy('id')
    .execute();
}

/** The sessions that belong to one session at the provider, ended or not, newest first. */
export function listSessionsOfProvider(db: Db, issuer: string, sid: string): Promise<SessionsTable[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('issuer', '=', issuer)
    .where('sid', '=', sid)
    .orderBy('opened_ms', 'desc')
    .execute();
}

/** Stores that a session was used. */
export async function touchBrowserSession(tx: Tx, id: string, nowMs: number): Promise<void> {
  await tx
    .updateTable('sessions')
    .set({ seen_ms: nowMs })
    .where('id', '=', id)
    .where('ended_ms', 'is', null)
    .where('seen_ms', '<', nowMs)
    .execute();
}

/** Ends a session. @returns false if it had already ended */
export async function endBrowserSession(
  tx: Tx,
  id: string,
  end: { ended_ms: number; end_reason: SessionEnd },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('sessions')
    .set(end)
    .where('id', '=', id)
    .where('ended_ms', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/**
 * Ends the sessions that are not over and were opened or seen after a time.
 *
 * @param afterMs default: the time of the ending
 */
export async function endBrowserSessionsAfter(tx: Tx, atMs: number, afterMs = atMs): Promise<void> {
  await tx
    .updateTable('sessions')
    .set({ ended_ms: atMs, end_reason: 'revoked' satisfies SessionEnd })
    .where('ended_ms', 'is', null)
    .where('expires_ms', '>', atMs)
    .where((e) => e.or([e('opened_ms', '>', afterMs), e('seen_ms', '>', afterMs)]))
    .execute();
}

/** Deletes sessions whose absolute expiry was before a time. Their records are kept. */
export async function forgetBrowserSessions(tx: Tx, overBeforeMs: number): Promise<void> {
  await tx.deleteFrom('sessions').where('expires_ms', '<', overBeforeMs).execute();
}
