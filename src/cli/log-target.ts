import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, usageError } from './cli-error.ts';
import type { Io } from './io.ts';
import { readText } from './log-source.ts';
import { EXIT } from './output/exit-codes.ts';
import { replaceFile } from './replace-file.ts';
import { ANSWER_TIMEOUT_MS, reasonOf } from './unreachable.ts';

/** Where a log is published: plain files by their paths. */
export interface LogTarget {
  /** The place, for people. */
  name: string;
  /** @returns null if there is no such file @throws CliError */
  read(path: string): Promise<Buffer | null>;
  /** Replaces a file as a whole. @throws CliError */
  write(path: string, content: string | Buffer): Promise<void>;
  /** Removes the partial forms of a tile that is complete now, where that is possible. They do no harm. */
  removePartial(path: string): Promise<void>;
}

/** A folder. */
export function folderTarget(folder: string): LogTarget {
  return {
    name: folder,
    read: (path) =>
      readFile(join(folder, path)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
        throw usageError(`${join(folder, path)} cannot be read: ${error.message}`);
      }),
    write: (path, content) => replaceFile(join(folder, path), content),
    removePartial: (path) => rm(join(folder, path), { recursive: true, force: true }),
  };
}

const MISSING: readonly number[] = [404, 410];
/** The file that others replace meanwhile must not be overwritten. */
const REPLACED: readonly number[] = [409, 412];
const AGAIN: readonly number[] = [408, 425, 429];
const IMMUTABLE = 'public, max-age=31536000, immutable';
const REFUSED = { code: 'publish_refused', title: 'The address does not take the log' } as const;
const BRIEFLY = 'public, max-age=1';

/**
 * An address that takes and gives plain files: `GET` and `PUT` of each below it, as object stores, their gateways and WebDAV
 * have it. Its query, if it has one, is sent with each file.
 *
 * @param given.headers sent with each request, and never shown
 */
export function urlTarget(io: Io, { url, headers }: { url: URL; headers: Headers }): LogTarget {
  const name = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  /** The tags of the files that are replaced, as they were read; null if they were not there. */
  const tags = new Map<string, string | null>();

  async function send(
    path: string,
    init: { method: 'GET' | 'PUT'; body?: Buffer; own?: Readonly<Record<string, string>> },
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
    const body = await response.arrayBuffer().catch((error: unknown) => {
      throw silent(name, error);
    });
    return { response, body: Buffer.from(body) };
  }

  return {
    name,
    read: async (path) => {
      const { response, body } = await send(path, { method: 'GET' });
      const isMissing = MISSING.includes(response.status);
      if (!response.ok && !isMissing) throw refused(`GET ${name}/${path}`, response.status);
      const tag = response.headers.get('etag');
      // A weak tag says nothing about the bytes.
      tags.set(path, isMissing || tag === null || tag.startsWith('W/') ? null : tag);
      return isMissing ? null : body;
    },
    write: async (path, content) => {
      const isTile = path.startsWith('tile/');
      const tag = tags.get(path) ?? null;
      const { response } = await send(path, {
        method: 'PUT',
        body: Buffer.from(content),
        own: {
          'content-type': isTile ? 'application/octet-stream' : 'text/plain; charset=utf-8',
          'cache-control': isTile ? IMMUTABLE : BRIEFLY,
          ...(isTile || tag === null ? {} : { 'if-match': tag }),
        },
      });
      if (!response.ok) throw refused(`PUT ${name}/${path}`, response.status);
      tags.delete(path);
    },
    // A log may keep them, and not every store lets its files be deleted.
    removePartial: async () => undefined,
  };
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

/** Reads the place of `--log` and the headers of `--header-file`. @throws CliError `usage` */
export async function openTarget(io: Io, log: string, headerFile: string | undefined): Promise<LogTarget> {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(log)) {
    if (headerFile !== undefined) throw usageError('--header-file is for an address, and --log is a folder.');
    return folderTarget(log);
  }
  const url = URL.canParse(log) ? new URL(log) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usageError(
      '--log must be a folder, or an address that begins with https:// and takes files by PUT. For any other store, publish to a folder and copy it with the tool of the store, the checkpoint last.',
    );
  if (url.username !== '' || url.password !== '')
    throw usageError(
      '--log must not have a name or a password in it; give them as a header with --header-file.',
    );
  const headers = headerFile === undefined ? new Headers() : parseHeaders(await readText(headerFile));
  if (headerFile !== undefined && url.protocol === 'http:' && !isOwnMachine(url))
    throw usageError('--header-file has secrets, so --log must begin with https://.');
  return urlTarget(io, { url, headers });
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
