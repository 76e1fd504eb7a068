import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { chmod, mkdir, open, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { makeFolder } from '../make-folder.ts';

/** The permission bits of group and others. */
const OTHERS = 0o077;

const LOCK_TRIES = 100;
const LOCK_PAUSE_MS = 50;

/** A file that is not private to this user; `message` says why. */
export class NotPrivateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotPrivateError';
  }
}

/**
 * Reads a file that only this user can read, or returns null when there is none. The checks run on the open file, so
 * the file cannot be swapped between check and read.
 *
 * @throws NotPrivateError when the file is a link or not a regular file, belongs to another user, or grants others any
 *   permission
 */
export async function readPrivateFile(file: string): Promise<string | null> {
  // Does not follow links, and does not block on a pipe without a writer.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const handle = await open(file, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    if (error.code === 'ELOOP') throw new NotPrivateError('it is a symbolic link');
    throw error;
  });
  if (handle === null) return null;
  try {
    assertPrivate(await handle.stat());
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

function assertPrivate(stats: Stats): void {
  if (!stats.isFile()) throw new NotPrivateError('it is not a regular file');
  // On Windows there are no owners and modes. The user's folder is private there.
  if (process.getuid === undefined) return;
  if (stats.uid !== process.getuid()) throw new NotPrivateError('it belongs to another user');
  if ((stats.mode & OTHERS) === 0) return;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  throw new NotPrivateError(`other users may read or change it (mode ${mode})`);
}

/**
 * Replaces a file atomically. Only this user can read the file or enter its folder. Creates both where they are
 * missing. The content is never readable by others.
 */
export async function replacePrivateFile(file: string, text: string): Promise<void> {
  await makePrivateFolder(dirname(file));
  const fresh = `${file}.${randomUUID()}`;
  try {
    await writeFile(fresh, text, { mode: 0o600, flag: 'wx', flush: true });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

async function makePrivateFolder(folder: string): Promise<void> {
  await makeFolder(dirname(folder));
  await makeFolder(folder, { mode: 0o700 });
  await chmod(folder, 0o700);
}

/**
 * Runs `work` under an exclusive lock for the file. A stale lock, left by a process that was killed, is taken over
 * after a timeout.
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  await makePrivateFolder(dirname(file));
  await takeLock(lock);
  try {
    return await work();
  } finally {
    // Another process took the lock over and has released it.
    await rmdir(lock).catch(() => undefined);
  }
}

async function takeLock(lock: string): Promise<void> {
  for (let tries = 1; tries <= LOCK_TRIES; tries += 1) {
    try {
      // Creating a folder is atomic, on network file systems too.
      await mkdir(lock);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await setTimeout(LOCK_PAUSE_MS);
    }
  }
}
