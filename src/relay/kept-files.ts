import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceDurably } from '../durable-file.ts';
import { bodyFile, parseBodyFile } from '../snapshot/body.ts';
import { LATEST_FILE } from '../snapshot/latest.ts';
import { RelayFault } from './fault.ts';
import { readFileUpTo } from './read-file.ts';

/*
 * The last good files of one environment, in the layout of a published place, so that `verify-snapshot` verifies them, too. A
 * body is told by its digest and written before the pointer that names it, and each file is replaced as a whole: whenever the
 * process ends, the pointer that is there names a body that is there. What a relay must not fall behind is the pointer itself.
 */

/** The last good files of one environment. */
export interface KeptFiles {
  /** @param maxBytes of a longer file no more than one byte beyond is read @throws RelayFault `kept_damaged` */
  read(file: string, maxBytes: number): Promise<Buffer | null>;
  /** Keeps a body and then the pointer that names it, and removes other bodies. @throws RelayFault `disk_failed` */
  writeSnapshot(
    latest: Buffer,
    name: { version: number; digest: string },
    body: Buffer | null,
  ): Promise<void>;
  /** Replaces one file. @throws RelayFault `disk_failed` */
  write(file: string, content: Buffer): Promise<void>;
  /** Puts a file that cannot be used out of the way, over one that lies there. */
  setAside(file: string): Promise<void>;
}

/** What a file is called that was set aside. */
const ASIDE = '.damaged';

/** The files of an environment in a folder, which is created with the first of them. */
export function keptFiles(folder: string): KeptFiles {
  const path = (file: string) => join(folder, file);

  /** Only this one: the folder above is there, or its disk is not mounted. */
  async function makeFolder(): Promise<void> {
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }

  async function write(file: string, content: Buffer): Promise<void> {
    try {
      await makeFolder();
      await replaceDurably(path(file), content);
    } catch (error) {
      throw new RelayFault('disk_failed', `${path(file)} cannot be written: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** Bodies that no pointer names, and what an interrupted write left. */
  async function removeOthers(kept: string): Promise<void> {
    const names = await readdir(folder);
    const isOld = (name: string) => parseBodyFile(name) !== null && name !== kept;
    const isPart = (name: string) => /\.json\.[0-9a-f-]{36}$/.test(name);
    for (const name of names) if (isOld(name) || isPart(name)) await rm(path(name), { force: true });
  }

  return {
    read: (file, maxBytes) =>
      readFileUpTo(path(file), maxBytes).catch((error: Error) => {
        throw new RelayFault('kept_damaged', `${path(file)} cannot be read: ${error.message}`, {
          cause: error,
        });
      }),
    write,
    writeSnapshot: async (latest, name, body) => {
      if (body !== null) await write(bodyFile(name), body);
      await write(LATEST_FILE, latest);
      // What stays does no harm.
      if (body !== null) await removeOthers(bodyFile(name)).catch(() => undefined);
    },
    setAside: async (file) => {
      await rename(path(file), `${path(file)}${ASIDE}`).catch(() => undefined);
    },
  };
}
