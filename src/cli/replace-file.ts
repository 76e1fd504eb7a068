import { dirname } from 'node:path';
import { replaceDurably } from '../durable-file.ts';
import { usageError } from './cli-error.ts';
import { makeFolder } from './make-folder.ts';

/**
 * Replaces a file atomically and durably, and creates the folders where they are missing.
 *
 * @throws CliError `usage` if it cannot be written
 */
export async function replaceFile(file: string, content: string | Buffer): Promise<void> {
  try {
    await makeFolder(dirname(file));
    await replaceDurably(file, content);
  } catch (error) {
    throw usageError(`${file} cannot be written: ${(error as Error).message}`);
  }
}
