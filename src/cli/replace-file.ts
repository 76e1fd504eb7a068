import { randomUUID } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../store/sync-folder.ts';
import { usageError } from './cli-error.ts';
import { makeFolder } from './make-folder.ts';

/**
 * Replaces a file atomically and durably: a reader sees the former content or the new one, also after a power failure.
 * Creates the folders where they are missing.
 *
 * @throws CliError `usage` if it cannot be written
 */
export async function replaceFile(file: string, content: string | Buffer): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  try {
    await makeFolder(dirname(file));
    await writeFile(fresh, content, { flag: 'wx', flush: true });
    await rename(fresh, file);
    syncFolder(dirname(file));
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => undefined);
    throw usageError(`${file} cannot be written: ${(error as Error).message}`);
  }
}
