import type { Kysely } from 'kysely';

/** Counts of denials that have no record of their own yet. */
export async function addDenials(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('denials')
    .addColumn('minute_ms', 'bigint', (c) => c.notNull())
    .addColumn('caller', 'text', (c) => c.notNull())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('decision_id', 'text', (c) => c.notNull())
    .addColumn('count', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('denials_pk', ['minute_ms', 'caller', 'operation'])
    .execute();
}
