import type { LogKeysTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** Replaces the private part of a retired key. The row stays as evidence. */
const NO_PRIVATE_PART = '';

/** The keys of an epoch, the newest first: it signs every checkpoint, and the others until they retire. */
export function listKeysOfEpoch(db: Db, epoch: number): Promise<LogKeysTable[]> {
  return db
    .selectFrom('log_keys')
    .selectAll()
    .where('epoch', '=', epoch)
    .orderBy((order) => order.fn.coalesce('place', order.lit(0)), 'desc')
    .execute();
}

/** All keys of the log, oldest first. */
export function listLogKeys(db: Db): Promise<LogKeysTable[]> {
  return db.selectFrom('log_keys').selectAll().orderBy('epoch').orderBy('created_ms').execute();
}

/** Stores the first key of an epoch, unless it has one. @returns the keys of the epoch, the newest first */
export async function insertFirstLogKey(tx: Tx, row: LogKeysTable): Promise<LogKeysTable[]> {
  const present = await listKeysOfEpoch(tx, row.epoch);
  if (present.length > 0) return present;
  await tx.insertInto('log_keys').values(row).execute();
  return [row];
}

/**
 * Stores the next key of an epoch. The record of the handover MUST be appended in the same write.
 *
 * @param retiresMs until when the former keys sign, too; those that retire earlier still do
 * @returns false if `former` is not the newest key any more
 */
export async function insertNextLogKey(
  tx: Tx,
  row: LogKeysTable,
  { former, retiresMs }: { former: string; retiresMs: number },
): Promise<boolean> {
  const [newest] = await listKeysOfEpoch(tx, row.epoch);
  if (newest?.vkey !== former) return false;
  await tx
    .updateTable('log_keys')
    .set({ retires_ms: retiresMs })
    .where('epoch', '=', row.epoch)
    .where((where) => where.or([where('retires_ms', 'is', null), where('retires_ms', '>', retiresMs)]))
    .execute();
  await tx.insertInto('log_keys').values(row).execute();
  return true;
}

/** Drops the private parts of keys that have retired before a time, and of those of former epochs. */
export async function dropRetiredLogKeys(tx: Tx, epoch: number, beforeMs: number): Promise<void> {
  await tx
    .updateTable('log_keys')
    .set({ private_key: NO_PRIVATE_PART })
    .where('private_key', '!=', NO_PRIVATE_PART)
    .where((where) => where.or([where('retires_ms', '<=', beforeMs), where('epoch', '<', epoch)]))
    .execute();
}
