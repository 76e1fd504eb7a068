import { join } from 'node:path';
import { SnapshotFault } from '../snapshot/fault.ts';
import { RelayFault } from './fault.ts';
import { readFileUpTo } from './read-file.ts';
import type { RelayTokens } from './tokens.ts';

/** Where the files of an environment come from: a broker, or a place that somebody publishes to. */
export interface Source {
  /** The place, for people. */
  name: string;
  /**
   * @param path below the place, such as `production/latest.json`
   * @param known the tag of what was read before, if that is still wanted
   * @returns null if there is no such file
   * @throws RelayFault
   */
  read(
    path: string,
    options: { maxBytes: number; signal: AbortSignal; known?: string },
  ): Promise<SourceFile | null>;
}

/** A file; without bytes, it is the one of the tag. */
export interface SourceFile {
  bytes: Buffer | null;
  tag: string | null;
}

/** The statuses that mean a file is not there. */
const MISSING: readonly number[] = [404, 410];
/** The statuses after which the same call may succeed. */
const AGAIN: readonly number[] = [408, 425, 429];

/** The snapshots of a broker. */
export function brokerSource({
  broker,
  tokensOf,
  fetch,
  answerMs,
}: {
  broker: string;
  tokensOf: ReadonlyMap<string, RelayTokens>;
  fetch: typeof globalThis.fetch;
  answerMs: number;
}): Source {
  const name = `${broker}/snapshots`;
  return {
    name,
    read: async (path, { maxBytes, signal, known }) => {
      const tokens = tokensOf.get(path.slice(0, path.indexOf('/')));
      if (tokens === undefined) throw new Error(`${path} is of no environment of this relay`);
      const authorization = `Bearer ${await tokens.get(signal)}`;
      const headers = { authorization, ...(known === undefined ? {} : { 'if-none-match': known }) };
      const answered = await request(fetch, `${name}/${path}`, { headers, maxBytes, signal, answerMs });
      if (answered.status === 401) tokens.drop();
      return fileOf(answered, `${name}/${path}`);
    },
  };
}

/** A published place at an address. @param headers sent with each request, and never shown */
export function addressSource({
  address,
  headers,
  fetch,
  answerMs,
}: {
  address: URL;
  headers: Readonly<Record<string, string>>;
  fetch: typeof globalThis.fetch;
  answerMs: number;
}): Source {
  const name = `${address.origin}${address.pathname.replace(/\/+$/, '')}`;
  return {
    name,
    read: async (path, { maxBytes, signal, known }) => {
      const sent = { ...headers, ...(known === undefined ? {} : { 'if-none-match': known }) };
      const place = `${name}/${path}`;
      const answered = await request(fetch, `${place}${address.search}`, {
        headers: sent,
        maxBytes,
        signal,
        answerMs,
      });
      return fileOf(answered, place);
    },
  };
}

/** A published place in a folder. */
export function folderSource(folder: string): Source {
  return {
    name: folder,
    read: async (path, { maxBytes }) => {
      const file = join(folder, path);
      const bytes = await readFileUpTo(file, maxBytes).catch((error: Error) => {
        throw new RelayFault('unreachable', `${file} cannot be read: ${error.message}`, { cause: error });
      });
      return bytes === null ? null : { bytes, tag: null };
    },
  };
}

interface Answered {
  status: number;
  tag: string | null;
  retryAfterMs: number | null;
  bytes: Buffer;
}

async function request(
  fetch: typeof globalThis.fetch,
  address: string,
  {
    headers,
    maxBytes,
    signal,
    answerMs,
  }: { headers: Record<string, string>; maxBytes: number; signal: AbortSignal; answerMs: number },
): Promise<Answered> {
  // For the head and the body together, however slowly it trickles.
  const deadline = AbortSignal.timeout(answerMs);
  const [place = ''] = address.split('?', 1);
  try {
    const response = await fetch(address, {
      headers,
      // The headers are for this address only.
      redirect: 'error',
      signal: AbortSignal.any([signal, deadline]),
    });
    if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
      await response.body?.cancel();
      throw new SnapshotFault('too_large', `${place} announces more than ${maxBytes} bytes`);
    }
    const tag = response.headers.get('etag');
    return {
      status: response.status,
      // A weak tag says nothing about the bytes.
      tag: tag?.startsWith('W/') === true ? null : tag,
      retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
      bytes: await readUpTo(response, maxBytes),
    };
  } catch (error) {
    if (error instanceof SnapshotFault) throw error;
    if (deadline.aborted)
      throw new RelayFault('source_slow', `${place} did not answer whole within ${answerMs} ms`, {
        cause: error,
      });
    throw new RelayFault('unreachable', `${place} did not respond: ${reasonOf(error)}`, { cause: error });
  }
}

/** Reads an answer, and of a longer one no more than a byte beyond. */
async function readUpTo(response: Response, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the stream, which ends the connection.
  for await (const part of response.body ?? []) {
    parts.push(part);
    length += part.length;
    if (length > maxBytes) break;
  }
  return Buffer.concat(parts).subarray(0, maxBytes + 1);
}

/** @returns null if there is no such file @throws RelayFault if it is refused, or will be there later */
function fileOf({ status, bytes, tag, retryAfterMs: after }: Answered, place: string): SourceFile | null {
  if (status === 200) return { bytes, tag };
  if (status === 304) return { bytes: null, tag };
  if (MISSING.includes(status)) return null;
  throw answerFault(status, place, after);
}

/** Why an answer has no file. */
export function answerFault(status: number, place: string, after: number | null): RelayFault {
  const isLater = status >= 500 || AGAIN.includes(status);
  return new RelayFault(
    isLater ? 'source_busy' : 'source_refused',
    `${place} answers with status ${status}`,
    { retryAfterMs: isLater ? after : null },
  );
}

/** The longest time that a source can ask for. */
const MAX_RETRY_AFTER_S = 60;

/** The seconds of `Retry-After`; null for a date, or none. */
export function retryAfterMs(value: string | null): number | null {
  return value !== null && /^\d{1,6}$/.test(value) ? Math.min(Number(value), MAX_RETRY_AFTER_S) * 1000 : null;
}

/** Why a request got no answer: the code of the system, which `fetch` has as the cause of its own error. */
export function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: NodeJS.ErrnoException };
  return cause?.code ?? cause?.message ?? message ?? String(error);
}
