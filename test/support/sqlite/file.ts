import { closeSync, openSync, writeSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { CompiledQuery } from 'kysely';

/*
 * Raw SQL against a broker's file stands in this folder alone: beside the broker, and with none of its code. Here, what
 * is about the file as a whole; `rows.ts` and `secrets.ts` know what the tables are called.
 */

/** Runs some work on another connection to the file, and closes it. For this folder only. */
export function withFile<T>(
  file: string,
  work: (db: Sqlite.Database) => T,
  options: { readonly?: boolean } = {},
): T {
  const db = new Sqlite(file, { readonly: options.readonly === true });
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** Reads what one moment of the file holds, however the broker writes meanwhile. For this folder only. */
export function reading<T>(file: string, work: (db: Sqlite.Database) => T): T {
  return withFile(file, (db) => db.transaction(() => work(db)).deferred(), { readonly: true });
}

/** The texts of all statements that any connection of this process runs during some work. */
export async function statementsDuring(work: () => Promise<unknown>): Promise<string[]> {
  const ran: string[] = [];
  const prototype = withFile(':memory:', (db) => Object.getPrototypeOf(db.prepare('select 1'))) as Record<
    string,
    (this: { source: string }, ...values: unknown[]) => unknown
  >;
  const originals = ['all', 'get', 'iterate', 'run'].map((name) => [name, prototype[name]] as const);
  for (const [name, original] of originals) {
    prototype[name] = function (...values) {
      ran.push(this.source);
      return original?.apply(this, values);
    };
  }
  try {
    await work();
    return ran;
  } finally {
    for (const [name, original] of originals) if (original !== undefined) prototype[name] = original;
  }
}

/** A connection for migrations. */
export function connectionTo(file: string): Sqlite.Database {
  return new Sqlite(file);
}

/** The bytes of the database, also of what is not yet in its main file. */
export function sizeOf(file: string): number {
  return reading(file, (db) => {
    const pages = db.pragma('page_count', { simple: true }) as number;
    return pages * (db.pragma('page_size', { simple: true }) as number);
  });
}

/** Every row of every table, but for those left out by name. */
export function everyRow(file: string, without: readonly string[] = []): Record<string, unknown[]> {
  return reading(file, (db) =>
    Object.fromEntries(
      namesOf(db)
        .filter((name) => !without.includes(name))
        .map((name) => [name, db.prepare(`select * from "${name}"`).all()]),
    ),
  );
}

/** The tables that there are. */
export function tableNames(file: string): string[] {
  return reading(file, namesOf);
}

/** Everything that the schema is made of. */
export function schemaOf(file: string): unknown[] {
  return withFile(file, (db) => db.prepare('select name, sql from sqlite_master order by name').all());
}

/** `ok`, or what SQLite finds wrong with the file. */
export function integrityOf(file: string): unknown {
  return reading(file, (db) => db.pragma('integrity_check', { simple: true }));
}

/** How the file is written, and by which SQLite. */
export function settingsOf(file: string): { journalMode: unknown; version: number[] } {
  return withFile(file, (db) => ({
    journalMode: db.pragma('journal_mode', { simple: true }),
    version: String(db.prepare('select sqlite_version()').pluck().get()).split('.').map(Number),
  }));
}

/**
 * Keeps everybody from writing, as another process would.
 *
 * @param options.timeoutMs how long to wait for whoever holds the lock now
 * @returns what ends it
 */
export function holdWriteLock(file: string, options: { timeoutMs?: number } = {}): () => void {
  const db = new Sqlite(file, options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs });
  db.exec('begin immediate');
  return () => {
    db.exec('rollback');
    db.close();
  };
}

/** How many pages the file has. */
export function pageCount(file: string): number {
  return reading(file, (db) => Number(db.pragma('page_count', { simple: true })));
}

/** Lets the file grow to so many pages, as a disk would. The limit is the connection's, so the writer's own sets it. */
export async function limitPages(
  writer: { executeQuery(query: CompiledQuery): Promise<unknown> },
  pages: number,
): Promise<void> {
  await writer.executeQuery(CompiledQuery.raw(`pragma max_page_count = ${pages}`));
}

/** Makes the file one that a later version has migrated. */
export function migrateToTheFuture(file: string): void {
  withFile(file, (db) =>
    db.prepare("insert into kysely_migration (name, timestamp) values ('9999_future', '2099')").run(),
  );
}

/** Sets a value of the table `meta`, or removes it with null. */
export function setMetaIn(file: string, key: string, value: string | null): void {
  withFile(file, (db) => {
    db.prepare('delete from meta where key = ?').run(key);
    if (value !== null) db.prepare('insert into meta (key, value) values (?, ?)').run(key, value);
  });
}

/** Puts a table of that name into a new file, where the first migration creates its own. @returns what takes it away */
export function occupyTable(file: string, name: string): () => void {
  withFile(file, (db) => {
    db.pragma('journal_mode = WAL');
    db.exec(`create table ${name} (x)`);
  });
  return () => withFile(file, (db) => db.exec(`drop table ${name}`));
}

function namesOf(db: Sqlite.Database): string[] {
  return db.prepare("select name from sqlite_master where type = 'table'").pluck().all() as string[];
}

/** Reads the file while some work runs, as a program for looking at databases does. */
export async function withReader(file: string, work: () => Promise<void>): Promise<void> {
  const db = new Sqlite(file, { readonly: true });
  try {
    db.exec('begin');
    namesOf(db);
    await work();
  } finally {
    db.close();
  }
}

/** Overwrites the first page of a table, as a broken disk does. */
export function damageTable(file: string, table: string): void {
  const { page, size } = withFile(file, (db) => {
    // All that is in the log would hide it.
    db.pragma('wal_checkpoint(TRUNCATE)');
    return {
      page: db.prepare('select rootpage from sqlite_master where name = ?').pluck().get(table) as number,
      size: db.pragma('page_size', { simple: true }) as number,
    };
  });
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(size, 0xa5), 0, size, (page - 1) * size);
  closeSync(fd);
}

/** Copies the database while a broker uses it. */
export async function backUp(file: string, to: string): Promise<void> {
  const db = new Sqlite(file, { readonly: true });
  try {
    await db.backup(to);
  } finally {
    db.close();
  }
}

/** How SQLite finds the rows of a statement, step by step. */
export function planOf(file: string, statement: string, parameters: readonly unknown[]): string[] {
  return reading(file, (db) =>
    db
      .prepare(`explain query plan ${statement}`)
      .all(...parameters)
      .map((row) => (row as { detail: string }).detail),
  );
}
