import type { Kysely } from 'kysely';

/** What people say about requests, and whose demand for changes holds one back. */
export async function addComments(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('comments')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('person', 'text')
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('said', 'text')
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addColumn('withdrawn_ms', 'bigint')
    .addColumn('decision_id', 'text', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('comments_request').on('comments').columns(['request_id', 'id']).execute();
  await db.schema.alterTable('requests').addColumn('demands', 'text').execute();
}
