import { readdir, readFile, stat } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import { type BundleFiles, MAX_ARCHIVE_BYTES, MAX_UNPACKED_BYTES, packArchive } from './archive.ts';
import { BundleError } from './bundle-error.ts';

/** Hidden files that belong to a bundle; others, such as `.git`, do not. */
const OWN_HIDDEN: ReadonlySet<string> = new Set(['.manifest', '.signatures.json']);

/**
 * The archive of a bundle in a file, or in a folder laid out as OPA does. A folder becomes a canonical archive, so that equal
 * files give the same digest of the archive.
 *
 * @throws BundleError if a folder has anything but regular files and folders, or either is larger than a bundle may be
 * @throws Error of the file system
 */
export async function readArchive(path: string): Promise<Buffer> {
  const found = await stat(path);
  if (found.isDirectory()) return packFolder(path);
  // Not read first: the file may be larger than the memory.
  if (found.size > MAX_ARCHIVE_BYTES) {
    throw new BundleError(`it has ${found.size} bytes; at most ${MAX_ARCHIVE_BYTES} are accepted`);
  }
  return readFile(path);
}

async function packFolder(folder: string): Promise<Buffer> {
  return packArchive(await readFolder(folder));
}

/**
 * The files of a folder by their path inside it, without hidden ones that belong to no bundle.
 *
 * @throws BundleError if it has anything but regular files and folders, or is larger than a bundle may be
 * @throws Error of the file system
 */
export async function readFolder(folder: string): Promise<BundleFiles> {
  const files = new Map<string, Buffer>();
  let bytes = 0;
  for (const path of await listFiles(folder)) {
    const content = await readFile(join(folder, path));
    bytes += content.length;
    if (bytes > MAX_UNPACKED_BYTES) {
      throw new BundleError(
        `its files have more than ${MAX_UNPACKED_BYTES} bytes: leave out what the policy does not need`,
      );
    }
    files.set(path.replaceAll(sep, posix.sep), content);
  }
  return files;
}

/** The paths of all files below a folder, relative to it. */
async function listFiles(folder: string, below = ''): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    if (entry.name.startsWith('.') && !OWN_HIDDEN.has(entry.name)) continue;
    const path = join(below, entry.name);
    if (entry.isDirectory()) paths.push(...(await listFiles(folder, path)));
    else if (entry.isFile()) paths.push(path);
    else throw new BundleError(`${path}: a bundle may contain only regular files`);
  }
  return paths;
}
