import type { Kysely } from 'kysely';

/**
 * What relays report: which version each serves, and what was read there, until it is recorded. Beside it, what was read back of
 * each request that changed flags: its receipts.
 */
export async function addRelays(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('relays')
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('relay', 'text', (c) => c.notNull())
    .addColumn('version', 'bigint', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('served_ms', 'bigint', (c) => c.notNull())
    .addColumn('reported_ms', 'bigint', (c) => c.notNull())
    .addColumn('recent', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('relays_pk', ['environment', 'principal', 'relay'])
    .execute();
  await db.schema
    .createTable('reported_reads')
    .addColumn('name', 'text', (c) => c.primaryKey().notNull())
    .addColumn('reporter', 'text', (c) => c.notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('workload', 'text')
    .addColumn('flag', 'text')
    .addColumn('variant', 'text')
    .addColumn('count', 'bigint', (c) => c.notNull())
    .addColumn('first_ms', 'bigint', (c) => c.notNull())
    .addColumn('last_ms', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('receipts')
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('version', 'bigint', (c) => c.notNull())
    .addColumn('written', 'text', (c) => c.notNull())
    .addColumn('applied_ms', 'bigint', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('served', 'text')
    .addColumn('checked_ms', 'bigint')
    .addColumn('first_relay_ms', 'bigint')
    .addColumn('last_relay_ms', 'bigint')
    .addPrimaryKeyConstraint('receipts_pk', ['request_id', 'environment'])
    .execute();
  await db.schema.createIndex('receipts_state').on('receipts').columns(['state', 'applied_ms']).execute();
  await db.schema
    .createIndex('receipts_version')
    .on('receipts')
    .columns(['environment', 'version'])
    .execute();
}
