import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Pool } from 'pg';
import { loadVersion } from '../../version.ts';
import { clockFault } from '../batch.ts';
import { shownDatabase } from '../database-address.ts';
import { watchFaults } from '../fault-watch.ts';
import { findMeta, setMeta } from '../installation.ts';
import { raiseFence, readHead, writeHead } from '../log-head.ts';
import { lacking, logAltered } from '../log-refusals.ts';
import { growTree } from '../log-tiles.ts';
import type { Schema } from '../schema.ts';
import { newerSchema, WRITTEN_BY } from '../schema-version.ts';
import type { Tx } from '../statement.ts';
import type { Store, StoreOptions } from '../store.ts';
import { notRecorded, TakeoverError } from '../write-faults.ts';
import { createWriter } from '../writer.ts';
import { kyselyOver, openPool, readsOver } from './connection.ts';
import { PostgresFault } from './faults.ts';
import { postgresMigrations } from './migrations.ts';
import { postgresTransactions } from './transactions.ts';

/** One writes, and one asks what became of a batch whose connection was lost. */
const WRITING_CONNECTIONS = 2;
const READING_CONNECTIONS = 8;

/** The oldest version that is tested, as the server numbers it. */
const OLDEST_SERVER = 150_000;

/**
 * Opens a database on a PostgreSQL server, and creates its schema if there is none. One broker writes at a time: the one that was
 * opened last, as on SQLite.
 *
 * @throws Error if the server cannot be reached, is a standby, too old, or not durable; if the schema is of a newer broker
 */
export async function openPostgres(options: StoreOptions): Promise<Store> {
  const pools = [
    openPool(options.file, { max: WRITING_CONNECTIONS }),
    openPool(options.file, { max: READING_CONNECTIONS }),
  ] as const;
  try {
    return await openOver(pools, options);
  } catch (error) {
    await Promise.allSettled(pools.map((pool) => pool.end()));
    if (!(error instanceof PostgresFault)) throw error;
    const shown = shownDatabase(options.file);
    throw new Error(`could not open the database ${shown}: ${error.message}`, { cause: error });
  }
}

async function openOver([writing, reading]: readonly [Pool, Pool], options: StoreOptions): Promise<Store> {
  const { clock } = options;
  const write = kyselyOver(writing);
  const read = readsOver(reading);
  await assertUsable(write);
  await assertNotNewer(write, shownDatabase(options.file));
  await migrate(write);
  await setMeta(write as Tx, WRITTEN_BY, loadVersion());
  const fence = await raiseFence(write);
  const writer = createWriter({
    db: write,
    transactions: postgresTransactions(write),
    clock,
    fence,
    seal: async (tx, head) => {
      await writeHead(tx, await growTree(tx, head));
      return () => undefined;
    },
    onFailure: options.onFailure ?? (() => undefined),
    onListenerFailure: options.onListenerFailure ?? (() => undefined),
  });
  const refusalNow = watchFaults({ writer, clock });
  let closing: Promise<void> | null = null;

  async function writeRefusal() {
    const refusal = await refusalNow();
    if (refusal !== null) return refusal;
    try {
      const head = await readHead(read);
      // Nobody may write here for a while, and what is remembered here is no longer true.
      if (head.fence !== fence) writer.stop(notRecorded(new TakeoverError()));
      return writer.refusal() ?? clockFault(head, clock());
    } catch (error) {
      return notRecorded(error);
    }
  }

  async function close(): Promise<void> {
    await writer.close();
    await read.destroy();
    await write.destroy();
  }

  return {
    writer,
    read,
    loss: null,
    keepSigned: async () => undefined,
    signed: () => null,
    stopLacking: (detail) => writer.stop(lacking(detail)),
    stopAltered: (detail) => writer.stop(logAltered(detail)),
    writeRefusal,
    wal: () => null,
    rewrite: async () => {
      for (const table of WITH_SECRETS) await sql`vacuum full ${sql.table(table)}`.execute(write);
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** The tables that hold secrets, sealed under the master key. */
const WITH_SECRETS = ['meta', 'signing_keys', 'log_keys'];

interface ServerState {
  version: number;
  fsync: string;
  full_page_writes: string;
  encoding: string;
}

/** Asserts that a server keeps what it has acknowledged. */
async function assertUsable(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<ServerState>`select current_setting('server_version_num')::bigint as version,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
    current_setting('server_encoding') as encoding`.execute(db);
  const [state] = rows as [ServerState];
  if (state.version < OLDEST_SERVER)
    throw new Error('the PostgreSQL server is too old: version 15 or later is required');
  if (state.encoding !== 'UTF8')
    throw new Error(`the database has the encoding ${state.encoding}; UTF8 is required`);
  if (state.fsync !== 'on' || state.full_page_writes !== 'on') {
    throw new Error(
      `the PostgreSQL server runs with fsync=${state.fsync} full_page_writes=${state.full_page_writes}, so it could lose what was acknowledged; both must be on`,
    );
  }
}

/** A schema of a newer broker: nothing of it may be changed, and what this one would not write could not be repaired. */
async function assertNotNewer(db: Kysely<Schema>, shown: string): Promise<void> {
  const { rows } = await sql<{
    found: boolean;
  }>`select to_regclass('kysely_migration') is not null as found`.execute(db);
  if (rows[0]?.found !== true) return;
  const known = Object.keys(await postgresMigrations.getMigrations());
  const { rows: names } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  if (names.every(({ name }) => known.includes(name))) return;
  throw newerSchema(shown, await findMeta(db, WRITTEN_BY));
}

/** Runs in one transaction: a crash leaves the old schema or the new one. */
async function migrate(db: Kysely<Schema>): Promise<void> {
  const { error } = await new Migrator({ db, provider: postgresMigrations }).migrateToLatest();
  if (error !== undefined) throw new Error('could not migrate the database schema', { cause: error });
}
