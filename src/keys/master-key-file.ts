import { type KeyObject, randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from '../sync-folder.ts';
import { newMasterKeyText, parseMasterKey } from './master-key.ts';

/** The format of a master key, for error messages. */
export const MASTER_KEY_FORM =
  '32 random bytes as base64, base64url or hex (generate with: openssl rand -base64 32)';

/**
 * Reads the master key from a file.
 *
 * @throws Error with a message for the operator, which never contains the content of the file
 */
export function readMasterKeyFile(path: string): KeyObject {
  const file = openSync(path, 'r');
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new Error(`${path} is not a file`);
    if (isOpenToOthers(stats)) {
      throw new Error(`${path} is readable by other users; restrict it with: chmod 600 ${path}`);
    }
    const key = parseMasterKey(readFileSync(file, 'utf8'));
    if (key === null) throw new Error(`${path} must contain ${MASTER_KEY_FORM}`);
    return key;
  } finally {
    closeSync(file);
  }
}

/** As for PostgreSQL's server key: a file owned by root may be readable by one group, as secret stores mount it. */
function isOpenToOthers({ mode, uid }: Stats): boolean {
  return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0;
}

/**
 * Generates a master key in a new file that only the owner can read. The key is durable when this returns, so that
 * nothing is sealed under a key that a power failure could destroy.
 *
 * @throws Error when the file already exists: a key is never overwritten
 */
export function makeMasterKeyFile(path: string): KeyObject {
  const fresh = `${path}.${randomUUID()}`;
  try {
    writeFileSync(fresh, `${newMasterKeyText()}\n`, { mode: 0o600, flag: 'wx', flush: true });
    // A link, because a rename would overwrite a key that another process created meanwhile.
    linkSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
  syncFolder(dirname(path));
  return readMasterKeyFile(path);
}
