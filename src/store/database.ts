import { closeSync, openSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { Kysely, type SqliteDatabase, SqliteDialect, SqliteDriver } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { loadVersion } from '../version.ts';
import { acknowledgedPath, findLoss, type Mark, markOf, openAcknowledged, readMark } from './acknowledged.ts';
import { beginEpoch, clockFault } from './batch.ts';
import type { CheckpointReport, LogLimits, LogState } from './checkpoints.ts';
import { explainFileFault } from './file-faults.ts';
import { createHeldReads, type HeldReads } from './held-reads.ts';
import { findMeta, setMeta } from './installation.ts';
import { raiseFence, readHead, writeHead } from './log-head.ts';
import { growTree } from './log-tiles.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';
import { type Db, runDirectly, type Tx } from './statement.ts';
import { copyFormerLog, takeLog } from './write-ahead-log.ts';
import { TakeoverError } from './write-faults.ts';
import { createWriter, type Writer } from './writer.ts';

/*
 * The store: SQLite behind Kysely, one file of statements for each domain, the migrations, and the writer, the only place
 * where transactions begin and commit. No code outside this folder depends on the engine.
 */

/**
 * The store: one connection for the writer alone, and one read-only connection that never waits for it.
 *
 * No code outside this folder depends on the engine.
 */
export interface Store {
  /** The only way to write. */
  writer: Writer;
  /** Reads committed state. Read-only. */
  read: Db;
  /** What this database lacks of the acknowledged log; null if it is complete. */
  loss: Loss | null;
  /** Why a write would be refused now, or null: `restored_copy`, `clock_behind`, `database_in_use`, or a store that failed. */
  writeRefusal(): Promise<BrokerError | null>;
  /** The state of the write-ahead log. */
  log(): LogState;
  /**
   * Rewrites the file, which removes all remains of overwritten and deleted data. For use at startup only: there MUST NOT
   * be concurrent reads or writes, and it takes time and disk space in proportion to the size of the file.
   *
   * @throws Error if there is not enough disk space
   */
  rewrite(): Promise<void>;
  /** Finishes pending writes, then closes both connections. */
  close(): Promise<void>;
}

/** The finding that a database is an older copy, or has another history. */
export interface Loss {
  /** A sentence for the operator. */
  detail: string;
  /** The mark beside the database, or null if there is none that can be read. */
  mark: Mark | null;
}

/** The meta key that says that a mark is kept beside the database. */
const MARK_KEPT = 'mark_kept';
/** The meta key of the version of Countersign that opened the database last. */
const WRITTEN_BY = 'written_by_version';
/** The meta key of the mark that the last confirmed restore replaced. */
const MARK_REPLACED = 'mark_replaced';

/** Below this version a bug in the WAL reset can corrupt the file. @see https://sqlite.org/changes.html 3.51.3 */
const OLDEST_SQLITE = [3, 51, 3] as const;
const BUSY_TIMEOUT_MS = 5000;
/** SQLite’s name for an in-memory database; it is refused because it is not durable. */
const MEMORY = ':memory:';

/**
 * Opens the database file. Creates it and its schema if it does not exist.
 *
 * @param options.file path of the SQLite file
 * @param options.clock the source of the time of each write
 * @param options.onFailure called once if the outcome of a commit is unknown, or another process has taken the store
 *   over; the process MUST stop then, and recovery at the next start decides
 * @param options.onListenerFailure called with the error of a listener after a commit
 * @param options.onCheckpoint called with what became of each checkpoint
 * @param options.logLimits limits of the write-ahead log
 * @param options.acceptsLoss writes although the database lacks what was acknowledged; for a confirmed restore only
 * @throws Error if another process has the store open; if SQLite is too old, or does not keep `synchronous=FULL` after a
 *   first write: without it, a power failure can lose an acknowledged write
 */
export async function openStore(options: {
  file: string;
  clock: Clock;
  onFailure?: (error: unknown) => void;
  onListenerFailure?: (error: unknown) => void;
  onCheckpoint?: (report: CheckpointReport) => void;
  logLimits?: LogLimits;
  acceptsLoss?: boolean;
}): Promise<Store> {
  try {
    return await openFile(options);
  } catch (error) {
    throw explainFileFault(options.file, error);
  }
}

async function openFile(options: Parameters<typeof openStore>[0]): Promise<Store> {
  createPrivately(options.file);
  const lock = lockFile(options.file);
  const connection = openConnection(options.file, { readonly: false });
  try {
    const write = kyselyOver(connection);
    copyFormerLog(connection);
    assertNotNewer(connection, Object.keys(await migrations.getMigrations()));
    await migrate(connection, write);
    await setMeta(write as Tx, WRITTEN_BY, loadVersion());
    assertDurable(connection);
    const reader = openConnection(options.file, { readonly: true });
    const reads = createHeldReads(reader);
    const read = kyselyOver(reader, reads);
    const loss = await lossOf(write, options.file);
    const isStopped = loss !== null && options.acceptsLoss !== true;
    const acknowledged = isStopped ? null : openAcknowledged(acknowledgedPath(options.file));
    if (loss === null) {
      // Before the database says that there is one. A crash may also have lost the last mark.
      acknowledged?.put(await markOf(write, await readHead(write)));
      acknowledged?.sync();
      await setMeta(write as Tx, MARK_KEPT, '1');
    }
    const fence = await raiseFence(write);
    const log = takeLog(connection, {
      wake: () => writer.wake(),
      report: options.onCheckpoint ?? (() => undefined),
      limits: options.logLimits,
    });
    /** Whether only the next start can tell what is on the disk. */
    let isUnknown = false;
    const writer = createWriter({
      db: write,
      clock: options.clock,
      fence,
      seal: async (tx, head) => {
        await writeHead(tx, await growTree(tx, head));
        const mark = await markOf(tx, head);
        return () => acknowledged?.put(mark);
      },
      reads,
      sync: log.sync,
      beforeBatch: log.beforeBatch,
      stopped: isStopped ? restoredCopy(loss) : null,
      onFailure: (error) => {
        isUnknown = !(error instanceof TakeoverError);
        options.onFailure?.(error);
      },
      onListenerFailure: options.onListenerFailure ?? (() => undefined),
    });
    let closing: Promise<void> | null = null;
    async function close(): Promise<void> {
      await writer.close();
      await log.rest();
      acknowledged?.close();
      lock.close();
      // SQLite would copy the log and delete it, and take for written what a failed disk has lost.
      if (isUnknown) return;
      // Kysely closes only a connection that it has used. The one that writes is the last: it copies the log and deletes it.
      await read.destroy();
      reader.close();
      await write.destroy();
      connection.close();
      log.close();
    }
    return {
      writer,
      read,
      loss,
      writeRefusal: async () =>
        writer.refusal() ?? log.refusal() ?? clockFault(await readHead(read), options.clock()),
      log: log.state,
      rewrite: async () => {
        await log.rest();
        rewrite(connection);
      },
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    connection.close();
    lock.close();
    throw error;
  }
}

/** Compares a database with the mark beside it. An installation of a former version has none yet. */
async function lossOf(db: Db, file: string): Promise<Loss | null> {
  const path = acknowledgedPath(file);
  const mark = readMark(path);
  if (mark === 'missing' && (await findMeta(db, MARK_KEPT)) === null) return null;
  if (mark === 'missing' || mark === 'damaged') {
    const detail = `${path} is ${mark}, so whether the database is an older copy is unknown.`;
    return { detail, mark: null };
  }
  const detail = await findLoss(db, mark, await findMeta(db, MARK_REPLACED));
  return detail === null ? null : { detail, mark };
}

function restoredCopy({ detail }: Loss): BrokerError {
  return new BrokerError(
    'restored_copy',
    `${detail} Nothing was written; the operator must put the newest copy back, or confirm the restore with "countersign accept-restore".`,
    { headers: { 'Retry-After': '60' } },
  );
}

/**
 * Confirms that this database takes the place of the one that was acknowledged: begins a new epoch of the log. The record
 * of the decision MUST be appended in the same write.
 */
export async function replaceAcknowledged(tx: Tx, { mark }: Loss): Promise<void> {
  beginEpoch(tx);
  await setMeta(tx, MARK_KEPT, '1');
  if (mark !== null) await setMeta(tx, MARK_REPLACED, JSON.stringify(mark));
}

/** The file contains signing keys, so only its owner may read it; SQLite gives its side files the same mode. */
function createPrivately(file: string): void {
  if (file === MEMORY) return;
  for (const path of [file, `${file}.lock`]) closeSync(openSync(path, 'a', 0o600));
}

/**
 * Claims the file for this process: with a second writer, its caches (snapshots, freezes) would be stale. The lock is a
 * transaction on a second file, so the system releases it however the process ends.
 */
function lockFile(file: string): Sqlite.Database {
  const lock = new Sqlite(file === MEMORY ? MEMORY : `${file}.lock`, { timeout: 0 });
  try {
    lock.exec('begin exclusive');
    return lock;
  } catch (error) {
    lock.close();
    if (!String((error as { code?: string }).code).startsWith('SQLITE_BUSY')) throw error;
    throw new Error(
      `${file} is in use by another broker. Only one process can use a SQLite file: stop it, or name another database`,
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
    throw new Error(`SQLite ${version} is too old: ${OLDEST_SQLITE.join('.')} or later is required`);
  }
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  connection.pragma('foreign_keys = ON');
  // Each write runs in a savepoint. Its rollback data is never needed after a crash, so it is kept in memory and not in a
  // temporary file on disk.
  connection.pragma('temp_store = MEMORY');
  // Overwrites deleted data, so that the private part of a retired key does not remain in free space of its page.
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
      `SQLite runs with journal_mode=${mode} synchronous=${synchronous}; WAL and FULL (2) are required`,
    );
  }
}

/** Rewrites the file and truncates the write-ahead log: both contain the former pages. */
function rewrite(writer: Sqlite.Database): void {
  try {
    writer.exec('vacuum');
    const [checkpoint] = writer.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (checkpoint?.busy !== 0) throw new Error('the write-ahead log is in use');
  } catch (error) {
    throw new Error(
      `could not rewrite the database file, which is required after its secrets were sealed again: ${(error as Error).message}. ` +
        'It needs free disk space of twice its size, and no other reader. Then start the broker again.',
      { cause: error },
    );
  }
}

/**
 * Kysely over one connection, with each statement prepared once.
 *
 * @param reads of a connection that reads: its transactions hold them, because there may be only one transaction
 */
function kyselyOver(connection: Sqlite.Database, reads?: HeldReads): Kysely<Schema> {
  const prepared = new Map<string, Sqlite.Statement>();
  const prepare = (text: string) => {
    let found = prepared.get(text);
    if (found === undefined) {
      found = connection.prepare(text);
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
  runDirectly(db, (text, parameters) => {
    const statement = prepare(text);
    if (statement.reader) return { rows: statement.all(parameters), affected: 0 };
    return { rows: [], affected: statement.run(parameters).changes };
  });
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

/** A schema of a newer broker: nothing of it may be changed, and what this one would not write could not be repaired. */
function assertNotNewer(connection: Sqlite.Database, known: readonly string[]): void {
  const table = connection.prepare("select 1 from sqlite_master where name = 'kysely_migration'").get();
  if (table === undefined) return;
  const names = connection.prepare('select name from kysely_migration').pluck().all() as string[];
  if (names.every((name) => known.includes(name))) return;
  const by = connection.prepare('select value from meta where key = ?').pluck().get(WRITTEN_BY);
  const version = by === undefined ? 'a newer version' : `version ${by}`;
  throw new Error(
    `the database ${connection.name} is newer than this broker (version ${loadVersion()}): ${version} of Countersign wrote it. Start that version or a later one, or restore a copy from before the upgrade`,
  );
}

/** Runs in one transaction, which the migrator does not open for SQLite: a crash leaves the old schema or the new one. */
async function migrate(writer: Sqlite.Database, db: Kysely<Schema>): Promise<void> {
  writer.exec('begin immediate');
  const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
  writer.exec(error === undefined ? 'commit' : 'rollback');
  if (error !== undefined) throw new Error('could not migrate the database schema', { cause: error });
}
