import { type Kysely, sql } from 'kysely';

/**
 * What holds each request back. Formerly everything open was decided again whenever anything was lifted.
 *
 * Which freeze a request met is not known of older decisions, so those that were not allowed are held back by every freeze
 * that is active, and by parking: they are decided again once too often rather than not at all.
 */
export async function addWakes(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('requests').addColumn('held_by', 'text').execute();
  await sql`create index requests_held on requests (id) where held_by is not null`.execute(db);
  await sql`update requests set held_by = (
      select json_group_array(cause) from (
        select 'parked' as cause union all select 'freeze:' || id from freezes where lifted_ms is null))
    where state in ('pending', 'ready') and json_extract(standing, '$.effect') <> 'allow'`.execute(db);
  await db.schema
    .createTable('wakes')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('cause', 'text', (c) => c.notNull())
    .addColumn('after_id', 'text', (c) => c.notNull())
    .execute();
}
