import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { chmod, mkdir, open, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** Permissions of anybody but the owner. */
const OTHERS = 0o077;

const LOCK_TRIES = 100;
const LOCK_PAUSE_MS = 50;

/** A file that is not this user's alone; `message` says in what way. */
export class NotPrivateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotPrivateError';
  }
}

/**
 * Reads a file that only this user can read, or null when there is none. What is checked is what is read: the file is
 * opened first, and nobody can put another one in its place in between.
 *
 * @throws NotPrivateError when the file is a link or no plain file, belongs to somebody else, or others have any
 *   permission on it
 */
export async function readPrivateFile(file: string): Promise<string | null> {
  // Neither a link is followed, nor does a pipe without a writer hold up the command.
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
  if (!stats.isFile()) throw new NotPrivateError('it is no plain file');
  // Windows has neither owners nor modes here; a user's folder is theirs alone there.
  if (process.getuid === undefined) return;
  if (stats.uid !== process.getuid()) throw new NotPrivateError('it belongs to another user');
  if ((stats.mode & OTHERS) === 0) return;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  throw new NotPrivateError(`others may read or change it (its mode is ${mode})`);
}

/**
 * Replaces a file by one that only this user can read, in a folder that only this user can enter; both are made where
 * they are missing. A reader sees the former text or this one, and neither was ever readable by others.
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
  await mkdir(dirname(folder), { recursive: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
}

/**
 * Runs `work` while no other process of this user does so for the same file. A lock that is never given back, because
 * its process was killed, is taken over after a while.
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  await makePrivateFolder(dirname(file));
  await takeLock(lock);
  try {
    return await work();
  } finally {
    // Somebody who took it over has given it back.
    await rmdir(lock).catch(() => undefined);
  }
}

async function takeLock(lock: string): Promise<void> {
  for (let tries = 1; tries <= LOCK_TRIES; tries += 1) {
    try {
      // Making a folder is atomic, on network file systems too.
      await mkdir(lock);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await setTimeout(LOCK_PAUSE_MS);
    }
  }
}
