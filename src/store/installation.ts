import { type Db, settledStatement, statement, type Tx } from './statement.ts';

const findMetaStatement = settledStatement<{ key: string }, { value: string }>('meta', (db, p) =>
  db.selectFrom('meta').select('value').where('key', '=', p('key')),
);
const claimTokenStatement = statement<{
  issuer: string;
  jti: string;
  expires_ms: number;
  repeatable_for: string | null;
}>((db, p) =>
  db
    .insertInto('used_tokens')
    .values({
      issuer: p('issuer'),
      jti: p('jti'),
      expires_ms: p('expires_ms'),
      repeatable_for: p('repeatable_for'),
    })
    .onConflict((conflict) => conflict.doNothing()),
);
const repeatTokenStatement = statement<{
  issuer: string;
  jti: string;
  repeatable_for: string;
  limit: number;
}>((db, p) =>
  db
    .updateTable('used_tokens')
    .set((row) => ({ uses: row('uses', '+', 1) }))
    .where('issuer', '=', p('issuer'))
    .where('jti', '=', p('jti'))
    .where('repeatable_for', '=', p('repeatable_for'))
    .where('uses', '<', p('limit')),
);
const findUsedTokenStatement = statement<
  { issuer: string; jti: string },
  { repeatable_for: string | null; uses: number }
>((db, p) =>
  db
    .selectFrom('used_tokens')
    .select(['repeatable_for', 'uses'])
    .where('issuer', '=', p('issuer'))
    .where('jti', '=', p('jti')),
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

/** Tells the writes of a batch one fact about this installation. */
export function knowMeta(tx: Tx, key: string, value: string | null): void {
  findMetaStatement.know(tx, { key }, value === null ? [] : [{ value }]);
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
  { issuer, jti, expires_ms }: { issuer: string; jti: string; expires_ms: number },
): Promise<boolean> {
  const row = { issuer, jti, expires_ms, repeatable_for: null };
  return (await claimTokenStatement(tx, row)).affected === 1;
}

/** What a token may be used for again, and how often in all. */
export interface Repetition {
  /** A later use MUST be for exactly this. */
  for: string;
  limit: number;
}

/**
 * Counts a use of a token that may be used again for one thing. A token that was used for anything else is not, and one
 * that works once never becomes repeatable.
 *
 * @returns false if it was used for something else, or as often as it may
 */
export async function repeatToken(
  tx: Tx,
  { issuer, jti, expires_ms }: { issuer: string; jti: string; expires_ms: number },
  repetition: Repetition,
): Promise<boolean> {
  const row = { issuer, jti, expires_ms, repeatable_for: repetition.for };
  if ((await claimTokenStatement(tx, row)).affected === 1) return true;
  const again = { issuer, jti, repeatable_for: repetition.for, limit: repetition.limit };
  return (await repeatTokenStatement(tx, again)).affected === 1;
}

/**
 * Whether a platform token cannot be claimed any more. Only {@link claimToken} and {@link repeatToken} can claim one.
 *
 * @param repetition what it is to be used for; null for a single use
 */
export async function isTokenUsed(
  db: Db,
  { issuer, jti }: { issuer: string; jti: string },
  repetition: Repetition | null,
): Promise<boolean> {
  const [row] = (await findUsedTokenStatement(db, { issuer, jti })).rows;
  if (row === undefined) return false;
  return repetition === null || row.repeatable_for !== repetition.for || row.uses >= repetition.limit;
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
