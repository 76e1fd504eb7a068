import { acknowledgedPath, findLoss, MARK_KEPT, MARK_REPLACED, type Mark, readMark } from './acknowledged.ts';
import { findMeta } from './installation.ts';
import { readHead } from './log-head.ts';
import { findSignedLoss, readSigned, signedPath } from './signed-checkpoint.ts';
import type { Db } from './statement.ts';
import type { Loss } from './store.ts';

/** Compares a database with the mark beside it. An installation of a former version has none yet. */
export async function lossOf(db: Db, file: string): Promise<Loss | null> {
  const path = acknowledgedPath(file);
  const found = readMark(path);
  const signed = readSigned(signedPath(file));
  const mark = typeof found === 'string' ? null : found;
  const detail =
    (await lossOfMark(db, path, found)) ??
    (signed === null ? null : await findSignedLoss(db, await readHead(db), signed));
  return detail === null ? null : { detail, mark, signed };
}

async function lossOfMark(db: Db, path: string, mark: Mark | 'missing' | 'damaged'): Promise<string | null> {
  if (mark === 'missing' && (await findMeta(db, MARK_KEPT)) === null) return null;
  if (typeof mark === 'string')
    return `${path} is ${mark}, so whether the database is an older copy is unknown.`;
  return findLoss(db, mark, await findMeta(db, MARK_REPLACED));
}
