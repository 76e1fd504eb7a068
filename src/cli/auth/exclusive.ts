import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import { makeFolder } from '../make-folder.ts';
import { EXIT } from '../output/exit-codes.ts';

/*
 * Work that one process of the user does at a time, across shells. Unlike the lock of a file, which protects
 * milliseconds, it is never taken from a process that lives: what is protected here must not happen twice.
 */

/** A mark of another machine that did not change for so long was left by a process that ended, in milliseconds. */
export const ABANDONED_MS = 120_000;
/** How long to wait for another process, in milliseconds. It waits for a provider, with a timeout for each request. */
const PATIENCE_MS = 100_000;
const PAUSE_MS = 50;

/** Who holds the mark. */
interface Holder {
  host: string;
  pid: number;
  /** Differs each time. */
  id: string;
}

/**
 * Runs `work` while no other process does for the same name.
 *
 * @param name the path of the mark, without its extension; its folder is created
 * @throws CliError when another process does not end, or the folder cannot be written
 */
export async function runExclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  const mark = `${name}.busy`;
  const mine: Holder = { host: hostname(), pid: process.pid, id: randomUUID() };
  await take(mark, mine);
  try {
    return await work();
  } finally {
    // Another machine may have taken it over, when this process slept.
    if ((await holderOf(mark))?.id === mine.id) await release(mark, mine);
  }
}

/** The mark disappears with its content: emptied first, it would let the next process in, whose mark is then removed. */
async function release(mark: string, mine: Holder): Promise<void> {
  const done = `${mark}.${mine.id}`;
  await rename(mark, done);
  await rm(done, { recursive: true, force: true });
}

async function take(mark: string, mine: Holder): Promise<void> {
  for (let waitedMs = 0; waitedMs <= PATIENCE_MS; waitedMs += PAUSE_MS) {
    if ((await tryTake(mark, mine)) || (await takeOver(mark, mine))) return;
    await setTimeout(PAUSE_MS);
  }
  const holder = await holderOf(mark);
  throw new CliError(EXIT.error, {
    code: 'sign_in_busy',
    title: 'Another command is renewing the sign-in',
    detail: `${holder === null ? 'It' : `Process ${holder.pid} on ${holder.host}`} does not end. End it, or if there is no such process, remove ${mark}. Then try again.`,
  });
}

/** The mark appears with its content, so that nobody finds it without a holder. */
async function tryTake(mark: string, mine: Holder): Promise<boolean> {
  const fresh = `${mark}.${mine.id}`;
  try {
    await makeFolder(dirname(mark), { mode: 0o700 });
    await mkdir(fresh, { mode: 0o700 });
    await writeFile(`${fresh}/holder.json`, JSON.stringify(mine), { mode: 0o600 });
    // A folder replaces no folder that has something in it.
    await rename(fresh, mark);
    return true;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EPERM') return false;
    throw unwritable(mark, error);
  }
}

async function holderOf(mark: string): Promise<Holder | null> {
  const text = await readFile(`${mark}/holder.json`, 'utf8').catch(() => null);
  try {
    return text === null ? null : (JSON.parse(text) as Holder);
  } catch {
    return null;
  }
}

/** Takes the mark of a process that ended without removing it. Of several that try, one succeeds. */
async function takeOver(mark: string, mine: Holder): Promise<boolean> {
  const holder = await holderOf(mark);
  if (holder === null || !(await isAbandoned(mark, holder))) return false;
  const claim = `${mark}/${holder.id}.claim`;
  try {
    // Only one process can create it. The holder is gone, so nobody else changes the mark after that.
    await writeFile(claim, '', { mode: 0o600, flag: 'wx' });
    if ((await holderOf(mark))?.id === holder.id) {
      await writeFile(`${mark}/next.json`, JSON.stringify(mine), { mode: 0o600 });
      await rename(`${mark}/next.json`, `${mark}/holder.json`);
      return true;
    }
    // Somebody has the mark by now.
    await rm(claim, { force: true });
    return false;
  } catch {
    return false;
  }
}

async function isAbandoned(mark: string, { host, pid }: Holder): Promise<boolean> {
  if (host === hostname()) return !isAlive(pid);
  // Both times are of the machine that has the files, so clocks need not agree.
  const probe = `${mark}.${randomUUID()}`;
  try {
    await writeFile(probe, '', { mode: 0o600 });
    return (await stat(probe)).mtimeMs - (await stat(`${mark}/holder.json`)).mtimeMs > ABANDONED_MS;
  } catch {
    return false;
  } finally {
    await rm(probe, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process has the number.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function unwritable(mark: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_unwritable',
      title: 'The sign-in cannot be renewed',
      detail: `${dirname(mark)} cannot be written: ${(cause as Error).message}. Make it writable, or name another folder with XDG_CONFIG_HOME.`,
    },
    { cause },
  );
}
