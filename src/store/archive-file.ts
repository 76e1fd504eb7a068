import { createCipheriv, createDecipheriv } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { sha256Hex } from '../json.ts';
import { randomBytesOf } from '../random.ts';
import { syncFolderAside } from '../sync-folder.ts';
import { leafHash } from '../tree/hashes.ts';

/*
 * Archive files: inputs of decisions, compressed, each sealed under a key of its own that is not in the file. A line says what
 * it is, then one sealed input follows the other; where each is, and its key, are in the database.
 */

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The record that an input belongs to. What is sealed for one is not opened for another. */
export interface Sealed {
  place: number;
  leaf: string;
}

/** What nobody may exchange: the place of the record and the hash of its leaf, which has the digest of the input. */
function bindingOf({ place, leaf }: Sealed): Buffer {
  return Buffer.from(`countersign-archive/1\n${place}\n${leafHash(leaf).toString('hex')}`);
}

/** Seals an input under a new key. */
export function seal(input: string, of: Sealed): { sealed: Buffer; key: Buffer } {
  const key = randomBytesOf(KEY_BYTES);
  const nonce = randomBytesOf(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(bindingOf(of));
  const text = Buffer.concat([cipher.update(deflateRawSync(input)), cipher.final()]);
  return { sealed: Buffer.concat([nonce, text, cipher.getAuthTag()]), key };
}

/** Opens what was sealed for that record. @throws Error if a byte is another one */
export function unseal(sealed: Buffer, key: Buffer, of: Sealed): string {
  const cipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  cipher.setAAD(bindingOf(of));
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const text = Buffer.concat([cipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), cipher.final()]);
  return inflateRawSync(text).toString('utf8');
}

/** The line that says what a file is. */
export function headOf(about: { installation: string; from_place: number; to_place: number }): string {
  const { installation, from_place, to_place } = about;
  return `countersign-archive/1 installation ${installation} records ${from_place}-${to_place}\n`;
}

const NAME = /^inputs-([0-9a-f]{8})-\d+-\d+-[0-9a-f]{12}\.archive$/;

/** The beginning of the id of an installation, as names have it. */
function startOf(installation: string): string {
  return installation.slice(0, 8);
}

/** The name of a new file: which records it has, for people, and the end of an id, so that it is nobody else's. */
export function archiveName(
  about: { installation: string; from_place: number; to_place: number },
  id: string,
): string {
  const { installation, from_place, to_place } = about;
  return `inputs-${startOf(installation)}-${from_place}-${to_place}-${id.slice(-12)}.archive`;
}

/**
 * Whether a text is a name of {@link archiveName}. Names come from the database, which somebody else may have changed: another
 * text MUST NOT become a path.
 *
 * @param installation whose archive it has to be; without it, anybody's
 */
export function isArchiveName(text: string, installation?: string): boolean {
  const start = NAME.exec(text)?.[1];
  return start !== undefined && (installation === undefined || start === startOf(installation));
}

/** @throws Error if there is no such folder, as when it is not mounted */
export async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error) && found.isDirectory()) return;
  const why = found instanceof Error ? `cannot be found (${found.code})` : 'is not a directory';
  throw new Error(
    `The folder of archives ${folder} (retention.archive_folder) ${why}: create it, or mount it.`,
  );
}

/**
 * Writes a file that does not exist, and makes it and its name durable.
 *
 * @returns its digest
 * @throws Error if it cannot be written
 */
export async function writeArchive(file: string, content: Buffer): Promise<string> {
  // It names persons to whoever has the keys.
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncFolderAside(dirname(file));
  return `sha256:${sha256Hex(content)}`;
}

/** Removes a file that nothing refers to, if it is there. @throws Error if it cannot be removed */
export async function removeArchive(file: string): Promise<void> {
  await rm(file, { force: true });
  await syncFolderAside(dirname(file));
}

/** The bytes at a place in a file; null if it ends before. @throws Error if it cannot be read */
export async function readPart(
  file: string,
  { offset, length }: { offset: number; length: number },
): Promise<Buffer | null> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
    return bytesRead === length ? buffer : null;
  } finally {
    await handle.close();
  }
}
