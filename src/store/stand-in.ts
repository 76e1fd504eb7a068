import {
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerError } from '../errors.ts';
import { acknowledgedPath } from './acknowledged.ts';
import { faultIn, faultOf } from './file-faults.ts';
import { claimFile, isAbandoned } from './file-lock.ts';
import { findSystemRefusal } from './system-refusal.ts';
import { storeDamaged, storeUnwritable } from './write-faults.ts';

/*
 * A private copy of a database that cannot be written at the start: flags are served from it, and nothing is written.
 */

/** A copy that stands in for a database. */
export interface StandIn {
  /** The copy. */
  path: string;
  remove(): void;
}

/** Of memory, for a machine whose only disk is full. */
const SHARED_MEMORY = '/dev/shm';

const FOLDER = 'countersign-copy-';
const COPY = 'copy.db';

/** What belongs to a database. The index of the write-ahead log is made anew. */
const PARTS = ['', '-wal'];

/** A database that cannot be written. */
export interface Unwritable {
  /** Why, without what becomes of it. */
  says: string;
  /** The answer to writes, while a copy stands in for it. */
  refusal: BrokerError;
}

/** Why a database cannot be written that could be opened for reading; null if the error is another one, or there is nothing. */
export function unwritableAtStart(file: string, error: unknown): Unwritable | null {
  if (!((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0)) return null;
  const fault = faultIn(error);
  if (fault === null || fault.kind === 'no_file') return null;
  if (fault.kind === 'damaged') {
    return { says: `The database file is damaged (${fault.code})`, refusal: storeDamaged(fault.code, error) };
  }
  // SQLite gives the same code for several reasons.
  const { code, says: why } = faultOf(findSystemRefusal(file)) ?? fault;
  const says = `The database could not be written when the broker started (${code}): ${why}`;
  return { says, refusal: storeUnwritable(`${says}. The broker serves a copy that it made then.`, error) };
}

/**
 * Copies a database into a new folder that only this user can read.
 *
 * @throws Error if there is no folder with enough space
 */
export function makeStandIn(file: string): StandIn {
  const parts = PARTS.map((part) => [`${file}${part}`, part] as const).filter(([path]) => existsSync(path));
  const bytes = parts.reduce((sum, [path]) => sum + statSync(path).size, 0);
  const folder = mkdtempSync(join(roomFor(bytes), FOLDER));
  let claim: { release(): void } | null = null;
  const remove = () => {
    rmSync(folder, { recursive: true, force: true });
    claim?.release();
  };
  try {
    const path = join(folder, COPY);
    // Ends with this process, however that ends: so it tells the others whose copy nobody uses any more.
    claim = claimFile(path);
    for (const [from, part] of parts) copyFileSync(from, `${path}${part}`, constants.COPYFILE_FICLONE);
    const mark = acknowledgedPath(file);
    if (existsSync(mark)) copyFileSync(mark, acknowledgedPath(path));
    return { path, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Removes the copies that processes of this user have left, which were killed. Never fails. */
export function removeAbandonedCopies(): void {
  const user = process.getuid?.();
  for (const parent of new Set([tmpdir(), SHARED_MEMORY])) {
    for (const name of namesIn(parent)) {
      const folder = join(parent, name);
      if (name.startsWith(FOLDER) && isOwnFolder(folder, user) && isAbandoned(join(folder, COPY))) {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }
}

/** Nobody else can have put something there: a folder of this user alone, with nothing but a copy. */
function isOwnFolder(folder: string, user: number | undefined): boolean {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined || !found.isDirectory() || found.uid !== user) return false;
  return (found.mode & 0o077) === 0 && namesIn(folder).every((name) => name.startsWith(COPY));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A folder in which a copy of that size can be opened. */
function roomFor(bytes: number): string {
  // Opening it may rewrite what is in the log.
  const wanted = 2 * bytes + 16 * 1024 * 1024;
  for (const folder of [tmpdir(), SHARED_MEMORY]) {
    if (spaceIn(folder) >= wanted) return folder;
  }
  throw new Error(
    `the database cannot be written, and no folder has room for a copy of ${Math.ceil(bytes / 1e6)} MB to serve flags from. Free some space, or name a folder with TMPDIR`,
  );
}

function spaceIn(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
