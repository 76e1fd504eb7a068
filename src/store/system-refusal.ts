import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { constants } from 'node:os';

/** So much that it does not fit into the rest of a full disk. */
const TRIAL = Buffer.alloc(1024 * 1024);

/** The refusals after which it is certain that nothing was written. A disk that fails (`EIO`) says nothing. */
const REFUSALS: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EFBIG'];

/** The code of an error of the system. Node has no name for some, such as `EDQUOT`. */
export function systemCode(error: unknown): string | null {
  const { code, errno } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string') return null;
  if (code !== 'UNKNOWN' && !code.startsWith('Unknown system error')) return code;
  const named = Object.entries(constants.errno).find(([, number]) => number === -(errno ?? 0));
  return named?.[0] ?? code;
}

/** The file beside a database that is written to find out. */
export function trialPathOf(database: string): string {
  return `${database}.trial`;
}

/**
 * Why the system lets nothing be written beside a database, such as `EROFS`; null if it does, or if the disk fails. Tries it,
 * because SQLite does not tell.
 */
export function findSystemRefusal(database: string): string | null {
  const path = trialPathOf(database);
  try {
    const file = openSync(path, 'w', 0o600);
    try {
      // Less is written where there is no room for all.
      return writeSync(file, TRIAL) === TRIAL.length ? null : 'ENOSPC';
    } finally {
      closeSync(file);
      rmSync(path, { force: true });
    }
  } catch (error) {
    const code = systemCode(error);
    return REFUSALS.includes(code) ? code : null;
  }
}
