import { randomUUID } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolderAside } from './sync-folder.ts';

/**
 * Replaces a file atomically and durably: a reader sees the former content or the new one, also after a power failure.
 *
 * @throws Error if it cannot be written
 */
export async function replaceDurably(
  file: string,
  content: string | Buffer,
  options: { mode?: number } = {},
): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  try {
    await writeFile(fresh, content, { flag: 'wx', flush: true, ...options });
    await rename(fresh, file);
    await syncFolderAside(dirname(file));
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => undefined);
    throw error;
  }
}
