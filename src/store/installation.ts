import { type Db, statement, type Tx } from './statement.ts';

const findMetaStatement = statement<{ key: string }, { value: string }>((db, p) =>
  db.selectFrom('meta').select('value').where('key', '=', p('key')),
);
const claimTokenStatement = statement<{ issuer: string; jti: string; expires_ms: number }>((db, p) =>
  db
    .insertInto('used_tokens')
    .values({ issuer: p('issuer'), jti: p('jti'), expires_ms: p('expires_ms') })
    .onConflict((conflict) => conflict.doNothing()),
);
const findUsedTokenStatement = statement<{ issuer: string; jti: string }, { jti: string }>((db, p) =>
  db.selectFrom('used_tokens').select('jti').where('issuer', '=', p('issuer')).where('jti', '=', p('jti')),
);
const findAnswerStatement = statement<
  { principal_id: string; key: string },
  { fingerprint: string; status: number; body: string }
>((db, p) =>
  db
    .selectFrom('idempotency_keys')
    .select(['fingerprint', 'status', 'body'])
    .where('principal_id', '=', p('principal_id'))
    .where('key', '=', p('key')),
);

/** One fact about this installation, or null. */
export async function findMeta(db: Db, key: string): Promise<string | null> {
  return (await findMetaStatement(db, { key })).rows[0]?.value ?? null;
}

/** Sets one fact about this installation. */
export async function setMeta(tx: Tx, key: string, value: string): Promise<void> {
  await tx
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}

/** Sets one fact about this installation if it is not set. @returns the current value */
export async function setMetaOnce(tx: Tx, key: string, value: string): Promise<string> {
  await tx
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return (await findMeta(tx, key)) ?? value;
}

/** Deletes one fact about this installation. */
export async function removeMeta(tx: Tx, key: string): Promise<void> {
  await tx.deleteFrom('meta').where('key', '=', key).execute();
}

/**
 * Claims a platform token for its single use.
 *
 * A single statement, so that exactly one of several simultaneous uses succeeds.
 *
 * @returns false if it was already used
 */
export async function claimToken(
  tx: Tx,
  token: { issuer: string; jti: string; expires_ms: number },
): Promise<boolean> {
  return (await claimTokenStatement(tx, token)).affected === 1;
}

/** Whether a platform token was already claimed. Only {@link claimToken} can claim one. */
export async function isTokenUsed(
  db: Db,
  { issuer, jti }: { issuer: string; jti: string },
): Promise<boolean> {
  return (await findUsedTokenStatement(db, { issuer, jti })).rows.length > 0;
}

/** Deletes expired tokens, which cannot be replayed anyway. */
export async function forgetUsedTokens(tx: Tx, expiredBeforeMs: number): Promise<void> {
  await tx.deleteFrom('used_tokens').where('expires_ms', '<', expiredBeforeMs).execute();
}

/** The stored answer for an idempotency key, or undefined. */
export async function findAnswer(
  db: Db,
  principalId: string,
  key: string,
): Promise<{ fingerprint: string; status: number; body: string } | undefined> {
  return (await findAnswerStatement(db, { principal_id: principalId, key })).rows[0];
}

/** Stores an answer for retries with the same key. */
export async function keepAnswer(
  tx: Tx,
  row: {
    principal_id: string;
    key: string;
    fingerprint: string;
    status: number;
    body: string;
    created_ms: number;
  },
): Promise<void> {
  await tx.insertInto('idempotency_keys').values(row).execute();
}

/** Deletes stored answers older than a time. */
export async function forgetAnswers(tx: Tx, beforeMs: number): Promise<void> {
  await tx.deleteFrom('idempotency_keys').where('created_ms', '<', beforeMs).execute();
}
