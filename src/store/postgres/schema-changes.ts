import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { shownDatabase } from '../database-address.ts';
import { findMeta } from '../installation.ts';
import type { Schema } from '../schema.ts';
import { newerSchema, WRITTEN_BY } from '../schema-version.ts';
import { kyselyOver, openDirectPool } from './connection.ts';
import { postgresMigrations } from './migrations.ts';
import { findMissingRights } from './roles.ts';

/*
 * The schema of a database on a server: what a broker finds, and who may change it. A role that owns the tables changes them,
 * which may be that of the broker itself (the easy start) or one that only `countersign migrate` uses.
 */

/**
 * Lets a broker use the database. A role that may change the schema brings it up to date here, so that a first start needs
 * no other command; for any other role, somebody else has to.
 *
 * @throws Error with the command that helps, if the schema is older or newer, or the role lacks a right
 */
export async function prepareSchema(db: Kysely<Schema>, address: string): Promise<void> {
  const shown = shownDatabase(address);
  const { missing, isNew } = await findMissing(db, shown);
  if (missing.length > 0) {
    const { role, may } = await findRole(db);
    if (!may) {
      const found = isNew
        ? 'has no tables yet'
        : `has the schema of an older version (it lacks ${missing[0]})`;
      throw new Error(
        `the database ${shown} ${found}, and the role "${role}" may not change that. ${migrateCommand(role)}`,
      );
    }
    await changeSchema(address);
  }
  const { role, table, right } = (await findMissingRights(db)) ?? {};
  if (role !== undefined)
    throw new Error(
      `the role "${role}" may not ${right} in the table ${table} of the database ${shown}. ${migrateCommand(role)}`,
    );
}

function migrateCommand(role: string): string {
  return `Run "countersign migrate --database ADDRESS --grant-to ${role}" with an address of the role that owns the tables, then start again`;
}

/** The migrations that a database lacks. @throws Error if it has one that this version does not know */
async function findMissing(
  db: Kysely<Schema>,
  shown: string,
): Promise<{ missing: string[]; isNew: boolean }> {
  const known = Object.keys(await postgresMigrations.getMigrations());
  const { rows } = await sql<{ found: boolean }>`
    select to_regclass('kysely_migration') is not null as found`.execute(db);
  if (rows[0]?.found !== true) return { missing: known, isNew: true };
  const { rows: names } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  const present = names.map(({ name }) => name);
  if (!present.every((name) => known.includes(name)))
    // A schema of a newer broker: nothing of it may be changed, and what this one would not write could not be repaired.
    throw newerSchema(shown, await findMeta(db, WRITTEN_BY));
  return { missing: known.filter((name) => !present.includes(name)), isNew: present.length === 0 };
}

/** The role, and whether it may change the schema: it may create tables, and owns those that there are. */
async function findRole(db: Kysely<Schema>): Promise<{ role: string; may: boolean }> {
  const { rows } = await sql<{ role: string; may: boolean }>`
    select current_user as role, coalesce(has_schema_privilege(current_schema(), 'create'), false) and not exists (
      select 1 from pg_tables where schemaname = current_schema() and not pg_has_role(tableowner, 'usage')
    ) as may`.execute(db);
  return rows[0] as { role: string; may: boolean };
}

/**
 * Brings a schema up to date, in one transaction: a crash leaves the old schema or the new one.
 *
 * @returns the migrations that were applied
 * @throws Error if the schema is of a newer version, or the address leads through a pooler
 */
export async function changeSchema(address: string): Promise<string[]> {
  // The migrator locks out others by a lock of its session, which a pooler would give to somebody else.
  const pool = await openDirectPool(address);
  const db = kyselyOver(pool);
  try {
    const { missing } = await findMissing(db, shownDatabase(address));
    if (missing.length === 0) return [];
    const { error, results = [] } = await new Migrator({
      db,
      provider: postgresMigrations,
    }).migrateToLatest();
    if (error !== undefined) throw error;
    return results.map(({ migrationName }) => migrationName);
  } finally {
    await db.destroy();
  }
}
