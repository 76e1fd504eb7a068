import type { LogKeysTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** The key that signs the checkpoints of an epoch, or undefined. */
export function findLogKey(db: Db, epoch: number): Promise<LogKeysTable | undefined> {
  return db.selectFrom('log_keys').selectAll().where('epoch', '=', epoch).executeTakeFirst();
}

/** All keys of the log, oldest first. */
export function listLogKeys(db: Db): Promise<LogKeysTable[]> {
  return db.selectFrom('log_keys').selectAll().orderBy('epoch').execute();
}

/** Stores the key of an epoch, unless it has one. @returns the key of the epoch */
export async function insertLogKey(tx: Tx, row: LogKeysTable): Promise<LogKeysTable> {
  await tx
    .insertInto('log_keys')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return (await findLogKey(tx, row.epoch)) ?? row;
}
