import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, usageError } from './cli-error.ts';
import type { Io } from './io.ts';
import { readText } from './log-source.ts';
import { EXIT } from './output/exit-codes.ts';
import { replaceFile } from './replace-file.ts';
import { ANSWER_TIMEOUT_MS, reasonOf } from './unreachable.ts';

/** Plain files by their paths. */
export interface PlainFiles {
  /** The place, for people. */
  name: string;
  /**
   * @param maxBytes of a longer file no more than one byte beyond is read
   * @returns null if there is no such file
   * @throws CliError
   */
  read(path: string, maxBytes?: number): Promise<Buffer | null>;
  /** Replaces a file as a whole. @throws CliError */
  write(path: string, content: string | Buffer): Promise<void>;
}

/** Where a log is published. */
export interface LogTarget extends PlainFiles {
  /** Removes the partial forms of a tile that is complete now, where that is possible. They do no harm. */
  removePartial(path: string): Promise<void>;
}

/** A folder. */
export function folderTarget(folder: string): LogTarget {
  return {
    name: folder,
    read: (path, maxBytes) =>
      readBytes(join(folder, path), maxBytes).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
        throw usageError(`${join(folder, path)} cannot be read: ${error.message}`);
      }),
    write: (path, content) => replaceFile(join(folder, path), content),
    removePartial: (path) => rm(join(folder, path), { recursive: true, force: true }),
  };
}

async function readBytes(file: string, maxBytes: number | undefined): Promise<Buffer> {
  if (maxBytes === undefined) return readFile(file);
  const handle = await open(file);
  try {
    const buffer = Buffer.alloc(Math.min((await handle.stat()).size, maxBytes + 1));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

const MISSING: readonly number[] = [404, 410];
/** The file that others replace meanwhile must not be overwritten. */
const REPLACED: readonly number[] = [409, 412];
const AGAIN: readonly number[] = [408, 425, 429];
const IMMUTABLE = 'max-age=31536000, immutable';
const REFUSED = { code: 'publish_refused', title: 'The address does not take or give the files' } as const;
const BRIEFLY = 'max-age=1';
/** Tiles of a log, and bodies of snapshots: what a path names never changes. */
const NEVER_CHANGES = /^tile\/|\/\d+-[0-9a-f]{64}\.json$/;

/**
 * An address that takes and gives plain files: `GET` and `PUT` of each below it, as object stores, their gateways and WebDAV
 * have it. Its query, if it has one, is sent with each file.
 *
 * @param given.headers sent with each request, and never shown
 * @param given.isPublic whether a shared cache may give the files to whoever has no credential
 */
export function urlTarget(
  io: Io,
  { url, headers, isPublic }: { url: URL; headers: Headers; isPublic: boolean },
): LogTarget {
  const name = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  /** The tags of the files that are replaced, as they were read; null if they were not there. */
  const tags = new Map<string, string | null>();

  async function send(
    path: string,
    init: {
      method: 'GET' | 'PUT';
      body?: Buffer;
      own?: Readonly<Record<string, string>>;
      maxBytes?: number | undefined;
    },
  ) {
    const sent = new Headers(headers);
    for (const [header, value] of Object.entries(init.own ?? {})) sent.set(header, value);
    const response = await io
      .fetch(`${name}/${path}${url.search}`, {
        method: init.method,
        headers: sent,
        ...(init.body === undefined ? {} : { body: new Uint8Array(init.body) }),
        // The headers are for this address only.
        redirect: 'error',
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      })
      .catch((error: unknown) => {
        throw silent(name, error);
      });
    const body = await readBody(response, init.maxBytes).catch((error: unknown) => {
      throw silent(name, error);
    });
    return { response, body };
  }

  return {
    name,
    read: async (path, maxBytes) => {
      const { response, body } = await send(path, { method: 'GET', maxBytes });
      const isMissing = MISSING.includes(response.status);
      if (!response.ok && !isMissing) throw refused(`GET ${name}/${path}`, response.status);
      const tag = response.headers.get('etag');
      // A weak tag says nothing about the bytes.
      tags.set(path, isMissing || tag === null || tag.startsWith('W/') ? null : tag);
      return isMissing ? null : body;
    },
    write: async (path, content) => {
      const isImmutable = NEVER_CHANGES.test(path);
      const tag = tags.get(path) ?? null;
      const { response } = await send(path, {
        method: 'PUT',
        body: Buffer.from(content),
        own: {
          'content-type': contentTypeOf(path),
          'cache-control': `${isPublic ? 'public, ' : ''}${isImmutable ? IMMUTABLE : BRIEFLY}`,
          ...(isImmutable || tag === null ? {} : { 'if-match': tag }),
        },
      });
      if (!response.ok) throw refused(`PUT ${name}/${path}`, response.status);
      tags.delete(path);
    },
    // A log may keep them, and not every store lets its files be deleted.
    removePartial: async () => undefined,
  };
}

function contentTypeOf(path: string): string {
  if (path.endsWith('.json')) return 'application/json';
  return path.startsWith('tile/') ? 'application/octet-stream' : 'text/plain; charset=utf-8';
}

/** Reads an answer, and of a longer one than is wanted no more than a byte beyond. */
export async function readBody(response: Response, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the stream, which ends the connection.
  for await (const part of response.body ?? []) {
    parts.push(part);
    length += part.length;
    if (length > maxBytes) break;
  }
  const body = Buffer.concat(parts);
  return body.length > maxBytes ? body.subarray(0, maxBytes + 1) : body;
}

function silent(name: string, cause: unknown): CliError {
  const detail = `${name} did not respond: ${reasonOf(cause)}.`;
  return new CliError(EXIT.error, { ...REFUSED, detail }, { transient: true, cause });
}

function refused(what: string, status: number): CliError {
  const isReplaced = REPLACED.includes(status);
  const remedy = isReplaced
    ? 'Somebody else published there meanwhile; run it again, and let one process alone publish to a place.'
    : 'Check the address, and that what --header-file has may read and write there; a file that does not exist yet must be answered with 404.';
  const problem = { ...REFUSED, detail: `${what}: the answer has status ${status}. ${remedy}` };
  return new CliError(EXIT.error, problem, {
    transient: status >= 500 || isReplaced || AGAIN.includes(status),
  });
}

/** Whether a place is an address, and no folder. */
export function isUrl(place: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(place);
}

/**
 * Opens a place that the command line names.
 *
 * @param given.argument what names it, such as `--log`
 * @param given.headerFile the file of `--header-file`
 * @param given.isPublic whether what is written there is public; false unless it is given
 * @throws CliError `usage`
 */
export async function openPlainFiles(
  io: Io,
  {
    place,
    headerFile,
    argument,
    isPublic = false,
  }: { place: string; headerFile: string | undefined; argument: string; isPublic?: boolean },
): Promise<LogTarget> {
  if (!isUrl(place)) {
    if (headerFile !== undefined)
      throw usageError(`--header-file is for an address, and ${argument} is a folder.`);
    return folderTarget(place);
  }
  const url = URL.canParse(place) ? new URL(place) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usageError(
      `${argument} must be a folder, or an address that begins with https:// and takes files by PUT. For any other store, publish to a folder and copy it with the tool of the store, what is replaced last.`,
    );
  if (url.username !== '' || url.password !== '')
    throw usageError(
      `${argument} must not have a name or a password in it; give them as a header with --header-file.`,
    );
  const headers = headerFile === undefined ? new Headers() : parseHeaders(await readText(headerFile));
  if (headerFile !== undefined && url.protocol === 'http:' && !isOwnMachine(url))
    throw usageError(`--header-file has secrets, so ${argument} must begin with https://.`);
  return urlTarget(io, { url, headers, isPublic });
}

function isOwnMachine({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

/** Lines like those of a request: `Authorization: Bearer …`. What is wrong with one is said without its value. */
function parseHeaders(text: string): Headers {
  const headers = new Headers();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, value] = /^([^:\s]+):(.*)$/.exec(line) ?? [];
    try {
      headers.append(name ?? '', value ?? '');
    } catch {
      throw usageError(`--header-file: line ${at + 1} is no header. Write one a line: <name>: <value>`);
    }
  }
  return headers;
}
