import { type Kysely, sql } from 'kysely';
import { refuseChanges } from './append-only.ts';
import { ARCHIVE_SAID, EVALUATIONS_DELETED, INPUT_ARCHIVED, INPUT_ERASED } from './archive-guards.ts';

/** What was taken out of the database as it grew old, and what may be. */
export async function addArchives(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('archives')
    .addColumn('place', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('what', 'text', (c) => c.notNull())
    .addColumn('from_place', 'integer', (c) => c.notNull())
    .addColumn('to_place', 'integer', (c) => c.notNull())
    .addColumn('count', 'integer', (c) => c.notNull())
    .addColumn('file', 'text', (c) => c.unique())
    .addColumn('digest', 'text')
    .execute();
  await db.schema.createIndex('archives_what').on('archives').columns(['what', 'to_place']).execute();
  await refuseChanges(db, 'archives', [['place'], ['file']], { insertable: ARCHIVE_SAID });
  await db.schema
    .createTable('archived_inputs')
    .addColumn('place', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('archived_by', 'integer', (c) => c.notNull())
    .addColumn('file_offset', 'bigint', (c) => c.notNull())
    .addColumn('file_length', 'integer', (c) => c.notNull())
    .addColumn('key', 'blob', (c) => c.notNull())
    .addColumn('words', 'blob', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'archived_inputs', [['place']], { erasable: INPUT_ERASED });
  // Whether anything was erased since.
  await db.schema.createIndex('erasures_erased_by').on('erasures').column('erased_by').execute();
  await loosen(db, 'record_details', 'update', INPUT_ARCHIVED);
  await loosen(db, 'evaluations', 'delete', EVALUATIONS_DELETED);
}

/** Lets rows be changed under a condition, which nothing did so far. */
async function loosen(
  db: Kysely<unknown>,
  table: string,
  task: 'update' | 'delete',
  unless: string,
): Promise<void> {
  const trigger = sql.id(`${table}_refuse_${task}`);
  await sql`drop trigger ${trigger}`.execute(db);
  await sql`create trigger ${trigger} before ${sql.raw(task)} on ${sql.id(table)}
    when not (${sql.raw(unless)})
    begin select raise(abort, ${sql.lit(`${table} is append-only`)}); end`.execute(db);
}
