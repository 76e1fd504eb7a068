import { closeSync, openSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Clock } from '../clock.ts';
import { raiseFence, writeHead } from './log-head.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';
import { type Db, runDirectly } from './statement.ts';
import { createWriter, type Writer } from './writer.ts';

/*
 * The store: SQLite behind Kysely, one file of statements for each domain, the migrations, and the writer, the one place
 * where transactions begin and commit. Nothing outside of this folder knows which engine runs.
 */

/**
 * The store: one connection that only the writer writes through, and one read-only connection that never waits for it.
 *
 * Nothing outside this folder knows which engine runs.
 */
export interface Store {
  /** The only way to write. */
  writer: Writer;
  /** Reads committed state; it cannot write. */
  read: Db;
  /**
   * Rewrites the file, so that nothing which was overwritten or deleted is left in it. At the start only: nothing else
   * MUST be written or read meanwhile, and it takes time and room as the file is large.
   *
   * @throws Error when there is no room
   */
  rewrite(): Promise<void>;
  /** Finishes the writes at hand, then closes both connections. */
  close(): Promise<void>;
}

/** Below this version a bug in the WAL reset can corrupt the file. @see https://sqlite.org/changes.html 3.51.3 */
const OLDEST_SQLITE = [3, 51, 3] as const;
const BUSY_TIMEOUT_MS = 5000;
/** SQLite’s name for no file at all; it is refused for not being durable. */
const MEMORY = ':memory:';

/**
 * Opens the database file, creating it and its schema when it is new.
 *
 * @param options.file path of the SQLite file
 * @param options.clock what each write takes its moment from
 * @param options.onFailure called once when a commit failed in a way that leaves the outcome unknown, or another process
 *   has taken the store over; the process MUST stop then, and recovery at the next start decides
 * @param options.onListenerFailure called with what a listener after a commit threw
 * @throws Error when another process has the file open as its store; when SQLite is too old, or does not keep
 *   `synchronous=FULL` after a first write: without it an acknowledged write can be lost in a power cut
 */
export async function openStore(options: {
  file: string;
  clock: Clock;
  onFailure?: (error: unknown) => void;
  onListenerFailure?: (error: unknown) => void;
}): Promise<Store> {
  createPrivately(options.file);
  const lock = lockFile(options.file);
  const connection = openConnection(options.file, { readonly: false });
  try {
    const write = kyselyOver(connection);
    await migrate(connection, write);
    assertDurable(connection);
    const reader = openConnection(options.file, { readonly: true });
    const read = kyselyOver(reader);
    const writer = createWriter({
      db: write,
      clock: options.clock,
      fence: await raiseFence(write),
      seal: writeHead,
      onFailure: options.onFailure ?? (() => undefined),
      onListenerFailure: options.onListenerFailure ?? (() => undefined),
    });
    return {
      writer,
      read,
      rewrite: async () => rewrite(connection),
      close: async () => {
        await writer.close();
        await read.destroy();
        await write.destroy();
        lock.close();
      },
    };
  } catch (error) {
    connection.close();
    lock.close();
    throw error;
  }
}

/** Signing keys are in it, so nobody else on the machine may read it; SQLite gives its side files the same mode. */
function createPrivately(file: string): void {
  if (file === MEMORY) return;
  for (const path of [file, `${file}.lock`]) closeSync(openSync(path, 'a', 0o600));
}

/**
 * Claims the file for this process: what it keeps in memory (snapshots, freezes) would be stale with a second writer.
 * The lock is a transaction on a file beside, so the system releases it however the process ends.
 */
function lockFile(file: string): Sqlite.Database {
  const lock = new Sqlite(file === MEMORY ? MEMORY : `${file}.lock`, { timeout: 0 });
  try {
    lock.exec('begin exclusive');
    return lock;
  } catch (error) {
    lock.close();
    throw new Error(
      `${file} is in use by another broker; one process serves one SQLite file: stop it, or name another database`,
      {
        cause: error,
      },
    );
  }
}

function openConnection(file: string, options: { readonly: boolean }): Sqlite.Database {
  const connection = new Sqlite(file, { readonly: options.readonly, timeout: BUSY_TIMEOUT_MS });
  const version = String(connection.prepare('select sqlite_version()').pluck().get());
  if (isOlder(version)) {
    connection.close();
    throw new Error(`SQLite ${version} is too old: ${OLDEST_SQLITE.join('.')} or newer is needed`);
  }
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  connection.pragma('foreign_keys = ON');
  // Each write runs in a savepoint. What that would undo goes to a temporary file on disk otherwise, for nothing: it is
  // never needed after a crash.
  connection.pragma('temp_store = MEMORY');
  // The private part of a key that has retired is not to be found in a free corner of its page.
  connection.pragma('secure_delete = FAST');
  return connection;
}

function isOlder(version: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [place, wanted] of OLDEST_SQLITE.entries()) {
    const found = parts[place] ?? 0;
    if (found !== wanted) return found < wanted;
  }
  return false;
}

/** Reads the settings back after a write: some builds fall back to NORMAL only then. */
function assertDurable(writer: Sqlite.Database): void {
  writer
    .prepare(
      "insert into meta (key, value) values ('opened', '1') on conflict (key) do update set value = value + 1",
    )
    .run();
  const mode = writer.pragma('journal_mode', { simple: true });
  const synchronous = writer.pragma('synchronous', { simple: true });
  if (mode !== 'wal' || synchronous !== 2) {
    throw new Error(
      `SQLite runs with journal_mode=${mode} synchronous=${synchronous}; WAL and FULL (2) are needed`,
    );
  }
}

/** A new file, and an empty write-ahead log: both have had the former pages. */
function rewrite(writer: Sqlite.Database): void {
  try {
    writer.exec('vacuum');
    const [checkpoint] = writer.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (checkpoint?.busy !== 0) throw new Error('the write-ahead log is in use');
  } catch (error) {
    throw new Error(
      `the database file could not be rewritten, which it must be once after secrets in it were sealed anew: ${(error as Error).message}. ` +
        'It needs free room of twice its size, and nobody else who reads it. Start again then.',
      { cause: error },
    );
  }
}

/** Kysely over one connection, with each statement prepared once. */
function kyselyOver(connection: Sqlite.Database): Kysely<Schema> {
  const prepared = new Map<string, Sqlite.Statement>();
  const prepare = (text: string) => {
    let found = prepared.get(text);
    if (found === undefined) {
      found = connection.prepare(text);
      if (prepared.size < 500) prepared.set(text, found);
    }
    return found;
  };
  const db = new Kysely<Schema>({
    dialect: new SqliteDialect({
      database: { prepare: (text: string) => prepare(text) as never, close: () => connection.close() },
    }),
  });
  runDirectly(db, (text, parameters) => {
    const statement = prepare(text);
    if (statement.reader) return { rows: statement.all(parameters), affected: 0 };
    return { rows: [], affected: statement.run(parameters).changes };
  });
  return db;
}

/** In one transaction, which the migrator does not open for SQLite: a crash leaves the former schema, or the new one. */
async function migrate(writer: Sqlite.Database, db: Kysely<Schema>): Promise<void> {
  writer.exec('begin immediate');
  const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
  writer.exec(error === undefined ? 'commit' : 'rollback');
  if (error !== undefined)
    throw new Error('the database schema could not be brought up to date', { cause: error });
}
