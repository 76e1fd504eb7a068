import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { replaceDurably } from '../durable-file.ts';
import { treeRoot } from '../tree/proofs.ts';
import { subtreesFrom } from '../tree/tiles.ts';
import type { LogHead } from './log-head.ts';
import { listTileHashes } from './log-tiles.ts';
import type { Db } from './statement.ts';

/*
 * The highest checkpoint of the log that was signed, or seen where the log is published, in a file beside the database. The
 * database must continue it: one that is shorter, or has another root at that size, is not the log that others have seen.
 */

/** A signed checkpoint, and of which log it is. */
export interface SignedCheckpointFile {
  installation: string;
  epoch: number;
  size: number;
  /** The root hash, base64. */
  root: string;
  /** The signed text. */
  note: string;
}

const fileSchema = z.object({
  installation: z.string(),
  epoch: z.int(),
  size: z.int().min(0),
  root: z.string(),
  note: z.string(),
});

/** The file beside a database. */
export function signedPath(database: string): string {
  return `${database}.checkpoint`;
}

/** The checkpoint in the file, or null if there is none that can be read. */
export function readSigned(path: string): SignedCheckpointFile | null {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}

/** Replaces the file, atomically and durably. @throws Error if it cannot be written */
export function writeSigned(path: string, signed: SignedCheckpointFile): Promise<void> {
  return replaceDurably(path, `${JSON.stringify(signed)}\n`, { mode: 0o600 });
}

/** The root of the tree at an earlier size, out of what is stored. */
export function rootAt(db: Db, size: number): Promise<Buffer> {
  return treeRoot(size, (subtrees) =>
    subtreesFrom(subtrees, (tile) => listTileHashes(db, { ...tile, level: tile.level ?? 0 })),
  );
}

/**
 * What the database lacks of a checkpoint.
 *
 * @returns a sentence for the operator, or null if the log continues it
 */
export async function findSignedLoss(
  db: Db,
  head: LogHead,
  signed: SignedCheckpointFile,
): Promise<string | null> {
  if (signed.installation !== head.installation) return 'The database belongs to another installation.';
  // Signed before a confirmed restore, which is a new log.
  if (signed.epoch < head.epoch) return null;
  if (signed.epoch > head.epoch || signed.size > head.size)
    return `The database is an older copy: its log ends at record ${head.size} of epoch ${head.epoch}, but a checkpoint with ${signed.size} records of epoch ${signed.epoch} was signed.`;
  if ((await rootAt(db, signed.size)).toString('base64') !== signed.root)
    return `The database has another history: its first ${signed.size} records are not those of the checkpoint that was signed.`;
  return null;
}
