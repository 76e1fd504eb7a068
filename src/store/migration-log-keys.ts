import type { Kysely } from 'kysely';

/** The keys that sign the checkpoints of the log: one for each epoch, since each has an origin of its own. */
export async function addLogKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('log_keys')
    .addColumn('epoch', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('vkey', 'text', (c) => c.notNull().unique())
    .addColumn('private_key', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .execute();
}
