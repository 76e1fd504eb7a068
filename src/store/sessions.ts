import type { SessionsTable, SignInsTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Why a session ended. */
export type SessionEnd = 'signed_out' | 'ended' | 'rotated' | 'logout' | 'revoked';

const findBySecretStatement = statement<{ secret_hash: string }, SessionsTable>((db, p) =>
  db.selectFrom('sessions').selectAll().where('secret_hash', '=', p('secret_hash')),
);

/** Keeps a sign-in that begins, and forgets those that nobody can finish any more. */
export async function insertSignIn(tx: Tx, row: SignInsTable, nowMs: number): Promise<void> {
  await tx.deleteFrom('sign_ins').where('expires_ms', '<=', nowMs).execute();
  await tx.insertInto('sign_ins').values(row).execute();
}

/** Takes a sign-in out of the store: it works once. Undefined when it was taken before, or never began. */
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

/**
 * The sessions that a browser had until the same principal signed in anew there: they ended in the write, so at the
 * moment, in which this one was opened. Seldom more than one.
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

/** The sessions of a principal that nobody has ended, newest first. Some may be over by time. */
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

/** The sessions of everybody that nobody has ended and that are not over at the latest. */
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

/** Notes that a session was used. */
export async function touchBrowserSession(tx: Tx, id: string, nowMs: number): Promise<void> {
  await tx
    .updateTable('sessions')
    .set({ seen_ms: nowMs })
    .where('id', '=', id)
    .where('ended_ms', 'is', null)
    .where('seen_ms', '<', nowMs)
    .execute();
}

/** Ends a session. @returns false when it had ended before */
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

/** Forgets the sessions that were over, at the latest, before a moment. Their records stay. */
export async function forgetBrowserSessions(tx: Tx, overBeforeMs: number): Promise<void> {
  await tx.deleteFrom('sessions').where('expires_ms', '<', overBeforeMs).execute();
}
