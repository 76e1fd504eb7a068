import type Sqlite from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';
import { newerSchema, WRITTEN_BY } from './schema-version.ts';

/*
 * The schema of a file: what is found there, and how it is brought up to date.
 */

/**
 * The migrations that a file lacks.
 *
 * @throws Error for a schema of a newer broker: nothing of it may be changed, and what this one would not write could not be
 *   repaired
 */
export async function missingMigrations(connection: Sqlite.Database): Promise<string[]> {
  const known = Object.keys(await migrations.getMigrations());
  const table = connection.prepare("select 1 from sqlite_master where name = 'kysely_migration'").get();
  if (table === undefined) return known;
  const names = connection.prepare('select name from kysely_migration').pluck().all() as string[];
  if (names.every((name) => known.includes(name))) return known.filter((name) => !names.includes(name));
  const by = connection.prepare('select value from meta where key = ?').pluck().get(WRITTEN_BY);
  throw newerSchema(connection.name, (by as string | undefined) ?? null);
}

/** Runs in one transaction, which the migrator does not open for SQLite: a crash leaves the old schema or the new one. */
export async function migrateFile(writer: Sqlite.Database, db: Kysely<Schema>): Promise<void> {
  writer.exec('begin immediate');
  const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
  writer.exec(error === undefined ? 'commit' : 'rollback');
  if (error !== undefined) throw new Error('could not migrate the database schema', { cause: error });
}
