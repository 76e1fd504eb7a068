import { type KeyObject, randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { newMasterKeyText, parseMasterKey } from './master-key.ts';

/** What a master key looks like, for whoever has to write one. */
export const MASTER_KEY_FORM =
  '32 random bytes as base64, base64url or hex (make one with: openssl rand -base64 32)';

/**
 * Reads the master key in a file.
 *
 * @throws Error with a message for the operator, which never holds what is in the file
 */
export function readMasterKeyFile(path: string): KeyObject {
  const file = openSync(path, 'r');
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new Error(`${path} is no file`);
    if (isOpenToOthers(stats)) {
      throw new Error(`${path} can be read by others; close it with: chmod 600 ${path}`);
    }
    const key = parseMasterKey(readFileSync(file, 'utf8'));
    if (key === null) throw new Error(`${path} must hold ${MASTER_KEY_FORM}`);
    return key;
  } finally {
    closeSync(file);
  }
}

/** As for PostgreSQL's server key: a file of root's may be shared with one group, which is how secret stores mount it. */
function isOpenToOthers({ mode, uid }: Stats): boolean {
  return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0;
}

/**
 * Makes a master key in a new file that only the owner can read. When it returns, the key is on the disk: nothing is ever
 * sealed under a key that a power cut could take.
 *
 * @throws Error when there is such a file already: a key is never overwritten
 */
export function makeMasterKeyFile(path: string): KeyObject {
  const fresh = `${path}.${randomUUID()}`;
  try {
    writeFileSync(fresh, `${newMasterKeyText()}\n`, { mode: 0o600, flag: 'wx', flush: true });
    // A link, not a rename: that would put the new key in the place of one that another process made meanwhile.
    linkSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
  syncFolder(dirname(path));
  return readMasterKeyFile(path);
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
