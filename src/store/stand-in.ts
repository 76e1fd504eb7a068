import { constants, copyFileSync, existsSync, mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerError } from '../errors.ts';
import { acknowledgedPath } from './acknowledged.ts';
import { faultIn, faultOf } from './file-faults.ts';
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

/** What belongs to a database. The index of the write-ahead log is made anew. */
const PARTS = ['', '-wal'];

/**
 * Why a database cannot be written that could be opened for reading, as the answer to writes; null if the error is another
 * one, or there is nothing to read.
 */
export function unwritableAtStart(file: string, error: unknown): BrokerError | null {
  if (!((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0)) return null;
  const fault = faultIn(error);
  if (fault === null || fault.kind === 'no_file') return null;
  if (fault.kind === 'damaged') return storeDamaged(fault.code, error);
  // SQLite gives the same code for several reasons.
  const { code, says } = faultOf(findSystemRefusal(file)) ?? fault;
  return storeUnwritable(
    `The database could not be written when the broker started (${code}): ${says}. The broker serves a copy that it made then.`,
    error,
  );
}

/**
 * Copies a database into a new folder that only this user can read.
 *
 * @throws Error if there is no folder with enough space
 */
export function makeStandIn(file: string): StandIn {
  const parts = PARTS.map((part) => [`${file}${part}`, part] as const).filter(([path]) => existsSync(path));
  const bytes = parts.reduce((sum, [path]) => sum + statSync(path).size, 0);
  const folder = mkdtempSync(join(roomFor(bytes), 'countersign-copy-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'copy.db');
    for (const [from, part] of parts) copyFileSync(from, `${path}${part}`, constants.COPYFILE_FICLONE);
    const mark = acknowledgedPath(file);
    if (existsSync(mark)) copyFileSync(mark, acknowledgedPath(path));
    return { path, remove };
  } catch (error) {
    remove();
    throw error;
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
