import { closeSync, constants, fdatasync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { syncFolder } from '../sync-folder.ts';
import { leafHash } from '../tree/hashes.ts';
import { type LogHead, readHead } from './log-head.ts';
import { findLeaf } from './records.ts';
import type { Db } from './statement.ts';

/*
 * What was last acknowledged, in a file beside the database: a restored older copy of the database does not have it. A
 * restored copy of both is not noticed here; that takes a witness elsewhere.
 */

/** The meta key that says that a mark is kept beside the database. */
export const MARK_KEPT = 'mark_kept';
/** The meta key of the mark that the last confirmed restore replaced. */
export const MARK_REPLACED = 'mark_replaced';

/** How far a log had come. */
export interface Mark {
  installation: string;
  epoch: number;
  size: number;
  /** The hash of the last leaf (RFC 6962 section 2.1), in hex; null for an empty log. */
  last: string | null;
}

const markSchema = z.object({
  installation: z.string(),
  epoch: z.int(),
  size: z.int().min(0),
  last: z.string().nullable(),
});

/** The whole file is one sector, which a disk writes whole or not at all. */
const SECTOR = 512;
/**
 * How long a mark may exist in memory only. Synchronizing each mark would double the cost of a commit. A power failure can
 * take the marks of the last second, so the file then claims less than was acknowledged, and never more.
 */
const SYNC_AFTER_MS = 1000;

/** The file with the last mark. */
export interface AcknowledgedFile {
  path: string;
  /** Overwrites the mark. A killed process does not lose it. @throws Error if the file cannot be written */
  put(mark: Mark): void;
  /** Makes the mark durable now. */
  sync(): void;
  /** Synchronizes and closes the file, once. */
  close(): void;
}

/** The file beside a database. */
export function acknowledgedPath(database: string): string {
  return `${database}.acknowledged`;
}

/**
 * The mark in the file.
 *
 * @returns `missing` if there is no file, `damaged` if it contains no mark
 */
export function readMark(path: string): Mark | 'missing' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
  try {
    return markSchema.parse(JSON.parse(text));
  } catch {
    return 'damaged';
  }
}

/** Opens the file for writing, and creates it durably if it does not exist. */
export function openAcknowledged(path: string): AcknowledgedFile {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  syncFolder(dirname(path));
  let due: NodeJS.Timeout | null = null;
  let failure: Error | null = null;
  let isClosed = false;

  function syncLater(): void {
    due ??= setTimeout(() => {
      due = null;
      fdatasync(file, (error) => {
        failure = error;
      });
    }, SYNC_AFTER_MS).unref();
  }

  return {
    path,
    put: (mark) => {
      if (failure !== null) throw failure;
      writeSync(file, `${JSON.stringify(mark).padEnd(SECTOR - 1)}\n`, 0);
      syncLater();
    },
    sync: () => fdatasyncSync(file),
    close: () => {
      if (isClosed) return;
      isClosed = true;
      if (due !== null) clearTimeout(due);
      fdatasyncSync(file);
      closeSync(file);
    },
  };
}

/**
 * The mark of a log with that head.
 *
 * @param last the hash of its last leaf, if it is known
 */
export async function markOf(db: Db, { installation, epoch, size }: LogHead, last?: Buffer): Promise<Mark> {
  return { installation, epoch, size, last: last?.toString('hex') ?? (await leafHashAt(db, size)) };
}

async function leafHashAt(db: Db, place: number): Promise<string | null> {
  const leaf = await findLeaf(db, place);
  return leaf === undefined ? null : leafHash(leaf).toString('hex');
}

/**
 * What the database lacks of the acknowledged log.
 *
 * @param accepted the mark in whose place a confirmed restore has put this log, as JSON; null if there was none
 * @returns a sentence for the operator, or null if the database has everything
 */
export async function findLoss(db: Db, mark: Mark, accepted: string | null): Promise<string | null> {
  const head = await readHead(db);
  // The process ended between a confirmed restore and its mark.
  if (accepted === JSON.stringify(mark)) return null;
  if (mark.installation !== head.installation) return 'The database belongs to another installation.';
  if (head.epoch < mark.epoch || head.size < mark.size) {
    return `The database is an older copy: its log ends at record ${head.size}, but record ${mark.size} was acknowledged.`;
  }
  if ((await leafHashAt(db, mark.size)) !== mark.last) {
    return `The database has another history: its record ${mark.size} is not the one that was acknowledged.`;
  }
  return null;
}
