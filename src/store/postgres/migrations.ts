import { randomUUID } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Migration, MigrationProvider } from 'kysely/migration';
import { EMPTY_FRONTIER, frontierText, rootOf } from '../../tree/hashes.ts';
import { migrations } from '../migrations.ts';
import { TABLES } from './baseline-tables.ts';
import { guardTables } from './guards.ts';

/**
 * The last migration of SQLite whose result the tables of a new database are. Those after the first release carry both dialects;
 * until then a new migration changes these tables, too.
 */
const BASELINE = '0033_summary';

/** The history of the schema on PostgreSQL, newest last. */
export const postgresMigrations: MigrationProvider = {
  getMigrations: async (): Promise<Record<string, Migration>> => {
    const later = Object.entries(await migrations.getMigrations()).filter(([name]) => name > BASELINE);
    const between = later.map(([name, migration]) => [name, betweenBatches(migration)] as const);
    return { [BASELINE]: { up: createBaseline }, ...Object.fromEntries(between) };
  },
};

/**
 * A migration that runs while brokers of the former version write. It takes the table first that each of their batches locks
 * first, so neither waits for a table that the other one has.
 */
export function betweenBatches({ up }: Migration): Migration {
  return {
    up: async (db) => {
      await sql`lock table log_head in access exclusive mode`.execute(db);
      await up(db);
    },
  };
}

async function createBaseline(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  await sql.raw(WRITERS).execute(db);
  await guardTables(db);
  const root = rootOf(EMPTY_FRONTIER).toString('base64');
  await sql`insert into log_head (id, installation, epoch, fence, size, root, frontier, last_ms)
    values (1, ${randomUUID()}, 1, 0, 0, ${root}, ${frontierText.write(EMPTY_FRONTIER)}, 0)`.execute(db);
}

/**
 * The last batch of each writer: it says whether a commit came through whose connection was lost. SQLite needs no such
 * table, because nothing is between a broker and its file.
 */
const WRITERS =
  'create table writers (writer uuid primary key, batch bigint not null, asked bigint not null)';
