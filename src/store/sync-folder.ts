import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Makes the names in a folder durable: a new or renamed file survives a power failure only then. @see POSIX fsync */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
