import { buffer } from 'node:stream/consumers';
import { crc32, gunzipSync, gzipSync, inflateRawSync } from 'node:zlib';
import { extract, type Header, pack } from 'tar-stream';
import { BundleError } from './bundle-error.ts';

/*
 * The archive of a bundle: a gzip file with one tar archive in it. Two readers must see the same files in it, so everything
 * that readers treat differently is refused: a second gzip member, bytes after an end, one name spelled in two ways.
 */

/** Limits the expansion of a small archive in memory. */
export const MAX_UNPACKED_BYTES = 16 * 1024 * 1024;

/** What does not compress is not larger than what it unpacks to, but for the headers of the format. */
export const MAX_ARCHIVE_BYTES = MAX_UNPACKED_BYTES;

/** The files of a bundle by their path inside it, without a leading slash. */
export type BundleFiles = ReadonlyMap<string, Buffer>;

/** A block of a tar archive, in bytes (POSIX.1-2017, pax, "ustar Interchange Format"). */
const BLOCK = 512;

/**
 * The files of an archive.
 *
 * @throws BundleError if it is larger than it may be, damaged, or contains anything but regular files, a path outside of
 *   the bundle, a duplicate file, or bytes that another reader would take for something else
 */
export async function unpackArchive(archive: Buffer): Promise<Map<string, Buffer>> {
  if (archive.length > MAX_ARCHIVE_BYTES) {
    throw new BundleError(
      `the bundle has ${archive.length} bytes; at most ${MAX_ARCHIVE_BYTES} are accepted: leave out what the policy does not need`,
    );
  }
  return readTar(gunzipOne(archive), { isStored: false });
}

/** The files of an archive that is in the store, which may have been stored before all of this was refused. */
export async function unpackStoredArchive(archive: Buffer): Promise<Map<string, Buffer>> {
  return readTar(
    readable(() => gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES })),
    { isStored: true },
  );
}

/** The canonical archive of some files: sorted by path, without times and owners. Equal files give equal bytes. */
export async function packArchive(files: BundleFiles): Promise<Buffer> {
  const writer = pack();
  const sorted = [...files].toSorted(([one], [other]) =>
    Buffer.compare(Buffer.from(one), Buffer.from(other)),
  );
  for (const [path, bytes] of sorted) {
    writer.entry({ name: `/${path}`, mode: 0o600, mtime: new Date(0) }, bytes);
  }
  writer.finalize();
  return gzipSync(await buffer(writer), { level: 9 });
}

/**
 * A path inside of a bundle, without the `/` or `./` that it may begin with.
 *
 * @throws BundleError for a path that leads out of the bundle, or that others would write in another way
 */
export function pathInBundle(name: string): string {
  const path = name.replace(/^\.?\//, '');
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..') || /[\p{Cc}\\]/u.test(path)) {
    throw new BundleError(`${JSON.stringify(name)}: not a path inside the bundle`);
  }
  return path;
}

/** What a header's flags say that follows it (RFC 1952 section 2.3.1). */
const GZIP = {
  id1: 0x1f,
  id2: 0x8b,
  deflate: 8,
  hcrc: 2,
  extra: 4,
  name: 8,
  comment: 16,
  reserved: 0xe0,
} as const;

/**
 * The content of a gzip file with one member and nothing after it. Readers that stop after the first member, and readers
 * that go on, see the same.
 *
 * @see RFC 1952 section 2.2
 */
function gunzipOne(archive: Buffer): Buffer {
  return readable(() => {
    const start = endOfHeader(archive);
    // `info` is not in the types: with it, the answer says how many bytes were read.
    const { buffer: plain, engine } = inflateRawSync(archive.subarray(start), {
      info: true,
      maxOutputLength: MAX_UNPACKED_BYTES,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    const trailer = archive.subarray(start + engine.bytesWritten);
    if (trailer.length > 8) throw new Error('there is something after the end of the gzip file');
    if (trailer.readUInt32LE(0) !== crc32(plain) || trailer.readUInt32LE(4) !== plain.length) {
      throw new Error('incorrect checksum');
    }
    return plain;
  });
}

function endOfHeader(archive: Buffer): number {
  const [id1, id2, method, flags = 0] = archive;
  if (id1 !== GZIP.id1 || id2 !== GZIP.id2 || method !== GZIP.deflate || (flags & GZIP.reserved) !== 0) {
    throw new Error('it does not begin as a gzip file');
  }
  let at = 10;
  if ((flags & GZIP.extra) !== 0) at += 2 + archive.readUInt16LE(at);
  for (const text of [GZIP.name, GZIP.comment]) {
    if ((flags & text) === 0) continue;
    const zero = archive.indexOf(0, at);
    if (zero === -1) throw new Error('its header does not end');
    at = zero + 1;
  }
  return (flags & GZIP.hcrc) === 0 ? at : at + 2;
}

async function readTar(plain: Buffer, { isStored }: { isStored: boolean }): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  let end = 0;
  try {
    reader.end(plain);
    for await (const entry of reader) {
      const { header } = entry as unknown as { header: PlacedHeader };
      if (!isStored) {
        assertTogether(plain, { from: end, to: header.byteOffset });
        end = header.byteOffset + Math.ceil(sizeOf(header) / BLOCK) * BLOCK;
      }
      if (header.type === 'directory') {
        entry.resume();
        continue;
      }
      if (header.type !== 'file' || isSparse(header)) {
        throw new BundleError(`${header.name}: a bundle may contain only regular files`);
      }
      const path = pathInBundle(header.name);
      if (files.has(path)) throw new BundleError(`duplicate file ${path} in the bundle`);
      files.set(path, await buffer(entry));
    }
  } catch (error) {
    throw asUnreadable(error);
  }
  if (!isStored && plain.subarray(end).some((byte) => byte !== 0)) {
    throw new BundleError(
      'the bundle is not a readable tar.gz: there is something after the end of the tar archive',
    );
  }
  return files;
}

/** The reader adds the place of an entry's first byte, which the types lack. */
type PlacedHeader = Header & { byteOffset: number; pax?: Readonly<Record<string, string>> | null };

function sizeOf({ type, size }: Header): number {
  return type === 'directory' ? 0 : (size ?? 0);
}

/** A file with holes is written in an own way, which only some readers know. */
function isSparse({ pax }: PlacedHeader): boolean {
  return Object.keys(pax ?? {}).some((key) => key.startsWith('GNU.sparse.'));
}

/** A block of zeros ends an archive; some readers go on after it. */
function assertTogether(plain: Buffer, { from, to }: { from: number; to: number }): void {
  for (let at = from; at < to; at += BLOCK) {
    if (plain.subarray(at, at + BLOCK).every((byte) => byte === 0)) {
      throw new Error('there is something after the end of the tar archive');
    }
  }
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asUnreadable(error);
  }
}

function asUnreadable(error: unknown): BundleError {
  if (error instanceof BundleError) return error;
  const { code, message } = error as { code?: string; message: string };
  const detail =
    code === 'ERR_BUFFER_TOO_LARGE' ? `it unpacks to more than ${MAX_UNPACKED_BYTES} bytes` : message;
  return new BundleError(`the bundle is not a readable tar.gz: ${detail}`, error);
}
