import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { syncFolder } from '../sync-folder.ts';
import { assertUndamaged } from './file-check.ts';
import { faultIn } from './file-faults.ts';
import { realPathOf } from './file-lock.ts';

/*
 * A copy of a database while a broker writes to it. SQLite copies the state of one moment, with what is still in the
 * write-ahead log; a copy of the file alone would lack that, or have a part of it. For a process of its own.
 */

/** What a backup contains. */
export interface BackupReport {
  /** The file that was written. */
  file: string;
  bytes: number;
  /** The id of the installation, and how far its log had come. */
  installation: string;
  epoch: number;
  size: number;
  /** The time of the last record. */
  last_ms: number;
}

/** Why no backup was made, in words for the operator. */
export class BackupRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupRefused';
  }
}

/** What is copied where. */
export interface BackupOrder {
  database: string;
  file: string;
  /** Replaces a file of that name. */
  replaces: boolean;
  /** Called now and then with the part that is copied, from 0 to 1. What it throws ends the backup. */
  onProgress: (part: number) => void;
}

/** The pages between two calls of the progress: 4 MiB. */
const STEP_PAGES = 1024;

/** How many rows each table has, and how far the log has come. */
interface Contents {
  head: Pick<BackupReport, 'installation' | 'epoch' | 'size' | 'last_ms'>;
  rows: Record<string, number>;
}

/**
 * Copies a database into a file, and reads the copy back: it is whole, has every row of that moment, and its log is complete.
 * The file appears under its name only then, and only its owner can read it.
 *
 * @throws BackupRefused; then there is no new file
 */
export async function backUp({ database, file, replaces, onProgress }: BackupOrder): Promise<BackupReport> {
  const from = databaseAt(database);
  const to = targetAt(file, { from, replaces });
  const partial = `${to}.${process.pid}.partial`;
  const source = new Sqlite(from, { readonly: true });
  try {
    // One state for the copy and for what it is compared with. Without it, each write begins the copy anew.
    source.exec('begin');
    const contents = contentsOf(source, from);
    closeSync(openSync(partial, 'wx', 0o600));
    await copy(source, partial, onProgress);
    verify(partial, contents);
    sync(partial);
    renameSync(partial, to);
    syncFolder(dirname(to));
    return { file: to, bytes: statSync(to).size, ...contents.head };
  } catch (error) {
    throw explained(error, { from, to });
  } finally {
    source.close();
    for (const part of ['', '-journal', '-wal', '-shm']) rmSync(`${partial}${part}`, { force: true });
  }
}

function databaseAt(named: string): string {
  if (!existsSync(named)) throw new BackupRefused(`The database ${named} does not exist.`);
  return realPathOf(named);
}

/** The path to write to, if nothing is lost by that. */
function targetAt(named: string, { from, replaces }: { from: string; replaces: boolean }): string {
  const folder = dirname(named);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new BackupRefused(`The folder ${folder} does not exist. Create it, or name another file.`);
  const to = join(realPathOf(folder), basename(named));
  const found = statSync(to, { throwIfNoEntry: false });
  const parts = ['', '-wal', '-shm', '.lock', '.acknowledged'].map((part) => `${from}${part}`);
  const isOwn = parts.some((part) => {
    if (part === to) return true;
    const own = statSync(part, { throwIfNoEntry: false });
    return own !== undefined && own.ino === found?.ino && own.dev === found.dev;
  });
  if (isOwn) throw new BackupRefused(`${named} belongs to the database itself. Name another file.`);
  if (found?.isDirectory() === true)
    throw new BackupRefused(
      `${named} is a folder. Name a file, such as ${join(named, 'countersign-backup.db')}.`,
    );
  if (found !== undefined && !replaces)
    throw new BackupRefused(`${named} exists already. Name another file, or replace it with --force.`);
  return to;
}

async function copy(source: Sqlite.Database, to: string, onProgress: (part: number) => void): Promise<void> {
  await source.backup(to, {
    progress: ({ totalPages, remainingPages }) => {
      onProgress(totalPages === 0 ? 0 : 1 - remainingPages / totalPages);
      return STEP_PAGES;
    },
  });
  onProgress(1);
}

function contentsOf(connection: Sqlite.Database, file: string): Contents {
  const names = connection
    .prepare("select name from sqlite_master where type = 'table' order by name")
    .pluck()
    .all() as string[];
  if (!names.includes('log_head'))
    throw new BackupRefused(`${file} is not a database that a broker has used.`);
  const head = connection.prepare('select installation, epoch, size, last_ms from log_head').get();
  const count = (name: string) =>
    connection
      .prepare(`select count(*) from "${name.replaceAll('"', '""')}"`)
      .pluck()
      .get() as number;
  const rows = Object.fromEntries(names.map((name) => [name, count(name)]));
  return { head: head as Contents['head'], rows };
}

/** Reads a copy back, and makes it one file that needs no other. */
function verify(partial: string, expected: Contents): void {
  const connection = new Sqlite(partial);
  try {
    connection.pragma('journal_mode = DELETE');
    assertUndamaged(connection);
    const found = contentsOf(connection, partial);
    const isComplete = connection.prepare('select count(*), max(place) from leaves').raw().get() as number[];
    const { size } = expected.head;
    if (
      JSON.stringify(found) !== JSON.stringify(expected) ||
      isComplete[0] !== size ||
      (isComplete[1] ?? 0) !== size
    )
      throw new BackupRefused('The copy does not have what the database has. Try again, and check the disk.');
  } finally {
    connection.close();
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function explained(error: unknown, { from, to }: { from: string; to: string }): unknown {
  if (error instanceof BackupRefused) return error;
  const fault = faultIn(error);
  if (fault === null) return error;
  const isDamaged = /^SQLITE_(CORRUPT|NOTADB)/.test(fault.code);
  const message = isDamaged
    ? `The database ${from} is damaged, so it was not copied (${fault.code}): restore a backup.`
    : `The backup ${to} could not be written (${fault.code}). Check the space and the permissions of its folder.`;
  return new BackupRefused(message, { cause: error });
}
