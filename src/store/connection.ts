import Sqlite from 'better-sqlite3';
import { Kysely, type SqliteDatabase, SqliteDialect, SqliteDriver } from 'kysely';
import { createDeferredRows } from './deferred.ts';
import type { HeldReads } from './held-reads.ts';
import type { Schema } from './schema.ts';
import { createSettledReads } from './settled.ts';
import { type Answer, answersAtOnce, runDirectly } from './statement.ts';

/*
 * One connection to the database, and Kysely over it.
 */

/** Below this version a bug in the WAL reset can corrupt the file. @see https://sqlite.org/changes.html 3.51.3 */
const OLDEST_SQLITE = [3, 51, 3] as const;
const BUSY_TIMEOUT_MS = 5000;

/** Opens a connection in the mode that all of them have. */
export function openConnection(file: string, options: { readonly: boolean }): Sqlite.Database {
  const connection = new Sqlite(file, { readonly: options.readonly, timeout: BUSY_TIMEOUT_MS });
  const version = String(connection.prepare('select sqlite_version()').pluck().get());
  if (isOlder(version)) {
    connection.close();
    throw new Error(`SQLite ${version} is too old: ${OLDEST_SQLITE.join('.')} or later is required`);
  }
  connection.pragma('journal_mode = WAL');
  // Until the writer takes the log over from SQLite (`write-ahead-log.ts`).
  connection.pragma('synchronous = FULL');
  connection.pragma('foreign_keys = ON');
  // Each write runs in a savepoint. Its rollback data is never needed after a crash, so it is kept in memory and not in a
  // temporary file on disk.
  connection.pragma('temp_store = MEMORY');
  // Overwrites deleted data, so that the private part of a retired key does not remain in free space of its page.
  connection.pragma('secure_delete = FAST');
  return connection;
}

/** Has a connection report a lock at once: SQLite waits for it by sleeping, and its thread answers everybody. */
export function neverSleep(connection: Sqlite.Database): void {
  connection.pragma('busy_timeout = 0');
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
export function assertDurable(writer: Sqlite.Database): void {
  writer
    .prepare(
      "insert into meta (key, value) values ('opened', '1') on conflict (key) do update set value = value + 1",
    )
    .run();
  const mode = writer.pragma('journal_mode', { simple: true });
  const synchronous = writer.pragma('synchronous', { simple: true });
  if (mode !== 'wal' || synchronous !== 2) {
    throw new Error(
      `SQLite runs with journal_mode=${mode} synchronous=${synchronous}; WAL and FULL (2) are required`,
    );
  }
}

/** Sees every error of a connection before anybody else does. */
export type Guard = (error: unknown) => void;

/**
 * Kysely over one connection, with each statement prepared once.
 *
 * @param reads of a connection that reads: its transactions hold them, because there may be only one transaction
 */
export function kyselyOver(connection: Sqlite.Database, guard: Guard, reads?: HeldReads): Kysely<Schema> {
  const prepared = new Map<string, Pick<Sqlite.Statement, 'reader' | 'all' | 'run'>>();
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      guard(error);
      throw error;
    }
  };
  const settled = createSettledReads();
  const deferred = createDeferredRows();
  const prepare = (text: string) => {
    settled.note(text);
    deferred.note(text);
    let found = prepared.get(text);
    if (found === undefined) {
      const statement = guarded(() => connection.prepare(text));
      found = {
        reader: statement.reader,
        all: (...parameters) => guarded(() => statement.all(...parameters)),
        run: (...parameters) => guarded(() => statement.run(...parameters)),
      };
      if (prepared.size < 500) prepared.set(text, found);
    }
    return found;
  };
  const database = { prepare: (text: string) => prepare(text) as never, close: () => connection.close() };
  const dialect = new SqliteDialect({ database });
  const db = new Kysely<Schema>({
    dialect:
      reads === undefined
        ? dialect
        : Object.assign(dialect, { createDriver: () => holdingDriver(database, reads) }),
  });
  const run = (text: string, parameters: readonly unknown[]): Answer => {
    const statement = prepare(text);
    if (statement.reader) return { rows: statement.all(parameters), affected: 0 };
    return { rows: [], affected: statement.run(parameters).changes };
  };
  runDirectly(db, answersAtOnce(run, { settled, deferred }));
  return db;
}

/** A driver whose transactions share the state in which reads are held. */
function holdingDriver(database: SqliteDatabase, reads: HeldReads): SqliteDriver {
  return Object.assign(new SqliteDriver({ database }), {
    beginTransaction: async () => reads.hold(),
    commitTransaction: async () => reads.release(),
    rollbackTransaction: async () => reads.release(),
  });
}
