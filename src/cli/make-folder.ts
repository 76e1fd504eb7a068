import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { usageError } from './cli-error.ts';

/**
 * Creates a folder, and those above it, where they are missing. Not with `recursive`: where a folder is there and the system
 * takes no other into it, as in `/proc`, Node tries for ever.
 *
 * @param options.mode of each folder that is created
 */
export async function makeFolder(folder: string, options: { mode?: number } = {}): Promise<void> {
  try {
    await createOne(folder, options);
  } catch (error) {
    const above = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === folder) throw error;
    await makeFolder(above, options);
    await createOne(folder, options);
  }
}

/** Creates a folder that the command line names. @throws CliError `usage` if it cannot be created */
export async function makeNamedFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw usageError(`${folder} cannot be created: ${(error as Error).message}`);
  }
}

async function createOne(folder: string, options: { mode?: number }): Promise<void> {
  try {
    await mkdir(folder, options);
  } catch (error) {
    // On a disk that is read-only, the system says so also of a folder that is there.
    const isThere = (await stat(folder).catch(() => null))?.isDirectory() === true;
    if (!isThere) throw error;
  }
}
