import { hash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite from 'better-sqlite3';

/*
 * Claims a database for this process. A second writer on the same file, under whatever name, would lose acknowledged
 * writes and damage the file: SQLite keeps the write-ahead log beside the name by which it was opened.
 *
 * The lock is one of the system on a second file beside the database, which ends with the process however that ends. Where
 * this second file does not stand for the database (it was deleted, or the database was moved), nobody else may have the
 * database open either, which SQLite's own lock on the database tells.
 */

/** SQLite’s name for an in-memory database; it is refused because it is not durable. */
export const MEMORY = ':memory:';

/** How long the start waits for whoever looks into the file at that moment. */
const WAIT_MS = 2000;

/** The file of a database that this process alone may write. */
export interface ClaimedFile {
  /** Its path, without symbolic links. */
  path: string;
  /** Why what is written no longer reaches this path, or null. It costs one call of the system. */
  lost(): string | null;
  release(): void;
}

/**
 * Claims a database, and creates it if it does not exist.
 *
 * @throws Error if another process has it, or if it has a form in which a second process could not be noticed
 */
export function claimFile(named: string): ClaimedFile {
  if (named === MEMORY) return { path: MEMORY, lost: () => null, release: () => undefined };
  const path = realPathOf(named);
  for (const each of [path, lockPathOf(path)]) createPrivately(each);
  const found = statSync(path);
  assertOneName(path, found);
  const lock = lockBeside(path);
  try {
    const standsFor = markOf(found, statSync(lockPathOf(path)));
    if (lock.pragma('user_version', { simple: true }) !== standsFor) {
      assertNobodyHas(path);
      lock.pragma(`user_version = ${standsFor}`);
    }
  } catch (error) {
    lock.close();
    throw error;
  }
  return { path, lost: () => findLoss(path, found), release: () => lock.close() };
}

/** The file whose lock stands for the database. */
export function lockPathOf(path: string): string {
  return `${path}.lock`;
}

/** Whether the process that claimed a database has ended without deleting it: its lock is there, and nobody holds it. */
export function isAbandoned(path: string): boolean {
  if (!existsSync(lockPathOf(path))) return false;
  try {
    lockBeside(path).close();
    return true;
  } catch {
    return false;
  }
}

/** The path without symbolic links, so that a database has one lock and one write-ahead log under all its names. */
export function realPathOf(named: string): string {
  try {
    return realpathSync(named);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  if (lstatSync(named, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    throw new Error(`${named} is a symbolic link to a file that does not exist. Name the file itself`);
  }
  return join(realpathSync(dirname(named)), basename(named));
}

/**
 * Only the owner may read it, because it contains signing keys; SQLite gives its side files the same mode. A file that
 * exists is not opened: closing it would end the locks that this process has on it.
 */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (statSync(path).isDirectory())
      throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
  }
}

/** Under a second name, the file has a second lock and a second write-ahead log. */
function assertOneName(path: string, { nlink }: Stats): void {
  if (nlink > 1) {
    throw new Error(
      `${path} has ${nlink} hard links, and a broker that uses another one would not be noticed. Remove the others, or use a copy of the file`,
    );
  }
  if (isMountPoint(path)) {
    throw new Error(
      `${path} is mounted as a single file, so its write-ahead log and its lock would be elsewhere. Mount its folder instead`,
    );
  }
}

/** Only Linux tells. */
function isMountPoint(path: string): boolean {
  let mounts: string;
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return false;
  }
  // The fifth field is the place. Spaces and the like are escaped in octal digits. @see proc_pid_mountinfo(5)
  return mounts
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .some((place) => place.replace(/\\([0-7]{3})/g, (_, digits) => octal(digits)) === path);
}

function octal(digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8));
}

function lockBeside(path: string): Sqlite.Database {
  const lock = new Sqlite(lockPathOf(path), { timeout: 0 });
  try {
    // Keeps the lock after the transaction, and needs no journal beside it.
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.pragma('journal_mode = MEMORY');
    lock.exec('begin exclusive; commit');
    return lock;
  } catch (error) {
    lock.close();
    throw isBusy(error) ? inUse(path, error) : error;
  }
}

/** What the lock file contains once it stands for this file: 31 bits, so that it fits into a field of its header. */
function markOf(database: Stats, lock: Stats): number {
  const digest = hash('sha256', [database.dev, database.ino, lock.ino].join(':'), 'hex');
  return (Number.parseInt(digest.slice(0, 8), 16) & 0x7fff_ffff) | 1;
}

/** Whoever has the database open, under whatever name, shares SQLite's lock on it. */
function assertNobodyHas(path: string): void {
  const alone = new Sqlite(path, { timeout: WAIT_MS });
  try {
    alone.pragma('locking_mode = EXCLUSIVE');
    alone.prepare('select count(*) from sqlite_master').get();
  } catch (error) {
    if (isBusy(error)) throw inUse(path, error, 'another broker or program, as its lock file is new');
    // Whether it can be used is not the question here.
  } finally {
    alone.close();
  }
}

function findLoss(path: string, opened: Stats): string | null {
  const present = statSync(path, { throwIfNoEntry: false });
  if (present === undefined) return `${path} was deleted or moved while the broker was running.`;
  if (present.ino === opened.ino && present.dev === opened.dev) return null;
  return `${path} was replaced by another file while the broker was running.`;
}

function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');
}

function inUse(path: string, cause: unknown, by = 'another broker'): Error {
  return new Error(
    `${path} is in use by ${by}. Only one process can use a SQLite file: stop it, or name another database`,
    { cause },
  );
}
