import { open } from 'node:fs/promises';

/**
 * Reads a file, and of a longer one no more than a byte beyond.
 *
 * @returns null if there is none
 * @throws Error of the system
 */
export async function readFileUpTo(file: string, maxBytes: number): Promise<Buffer | null> {
  try {
    const handle = await open(file);
    try {
      const buffer = Buffer.alloc(Math.min((await handle.stat()).size, maxBytes + 1));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
