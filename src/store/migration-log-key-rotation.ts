import type { Kysely } from 'kysely';

interface KeysSchema {
  log_keys: LogKey;
  former_log_keys: Omit<LogKey, 'place' | 'retires_ms'>;
}

interface LogKey {
  epoch: number;
  vkey: string;
  private_key: string;
  created_ms: number;
  place: number | null;
  retires_ms: number | null;
}

/** Lets an epoch of the log have several keys, one after the other. */
export async function addLogKeyRotation(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('log_keys').renameTo('former_log_keys').execute();
  await db.schema
    .createTable('log_keys')
    .addColumn('epoch', 'integer', (c) => c.notNull())
    .addColumn('vkey', 'text', (c) => c.primaryKey().notNull())
    .addColumn('private_key', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .addColumn('place', 'integer')
    .addColumn('retires_ms', 'bigint')
    .execute();
  const keys = db as Kysely<KeysSchema>;
  await keys
    .insertInto('log_keys')
    .columns(['epoch', 'vkey', 'private_key', 'created_ms'])
    .expression(keys.selectFrom('former_log_keys').select(['epoch', 'vkey', 'private_key', 'created_ms']))
    .execute();
  await db.schema.dropTable('former_log_keys').execute();
}
