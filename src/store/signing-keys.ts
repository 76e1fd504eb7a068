import type { SigningKeysTable } from './schema.ts';
import type { Db, Tx } from './statement.ts';

/** Replaces the private part of a retired key. The row stays as evidence. */
const NO_PRIVATE_PART = '';

/** All signing keys, oldest first. */
export async function listSigningKeys(db: Db): Promise<SigningKeysTable[]> {
  return db.selectFrom('signing_keys').selectAll().orderBy('created_ms').orderBy('kid').execute();
}

/** Stores the key if none is active: if several brokers start at once, exactly one creates the first key. */
export async function insertFirstSigningKey(tx: Tx, row: SigningKeysTable): Promise<void> {
  if (!(await hasActiveKey(tx))) await insertSigningKey(tx, row);
}

/** Replaces the active keys, which verify until `retiresMs` but no longer sign. */
export async function replaceSigningKeys(tx: Tx, fresh: SigningKeysTable, retiresMs: number): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ retires_ms: retiresMs, private_jwk: NO_PRIVATE_PART })
    .where('retires_ms', 'is', null)
    .execute();
  await insertSigningKey(tx, fresh);
}

/**
 * Ends a key at once: from `nowMs` on it neither signs nor verifies. If no active key remains, `fresh` becomes active.
 *
 * @returns `unknown` if the key does not exist or has already ended, otherwise whether `fresh` became active
 */
export async function endSigningKey(
  tx: Tx,
  kid: string,
  { fresh, nowMs }: { fresh: SigningKeysTable; nowMs: number },
): Promise<'unknown' | 'ended' | 'replaced'> {
  const { numUpdatedRows } = await tx
    .updateTable('signing_keys')
    .set({ retires_ms: nowMs, private_jwk: NO_PRIVATE_PART })
    .where('kid', '=', kid)
    .where((where) => where.or([where('retires_ms', 'is', null), where('retires_ms', '>', nowMs)]))
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) return 'unknown';
  if (await hasActiveKey(tx)) return 'ended';
  await insertSigningKey(tx, fresh);
  return 'replaced';
}

/** Ends all keys at once: the next start makes a new one. */
export async function endAllSigningKeys(tx: Tx, nowMs: number): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ retires_ms: nowMs, private_jwk: NO_PRIVATE_PART })
    .where((where) => where.or([where('retires_ms', 'is', null), where('retires_ms', '>', nowMs)]))
    .execute();
}

async function hasActiveKey(tx: Tx): Promise<boolean> {
  const active = await tx
    .selectFrom('signing_keys')
    .select('kid')
    .where('retires_ms', 'is', null)
    .executeTakeFirst();
  return active !== undefined;
}

async function insertSigningKey(tx: Tx, row: SigningKeysTable): Promise<void> {
  await tx.insertInto('signing_keys').values(row).execute();
}
