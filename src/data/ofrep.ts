import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { answerFor, bulkAnswerFor, bulkTag, isNoneMatch } from './answers.ts';
import { readContext } from './context.ts';
import {
  type OfrepError,
  sendAnswer,
  sendBulk,
  sendError,
  sendNotModified,
  sendPreflight,
  sendRefusal,
} from './ofrep-reply.ts';
import { hasBody, isPlainJson, readBody } from './request-body.ts';
import type { SnapshotFlag, Snapshots } from './snapshot.ts';
import { findFlag, type Namespaces, type View, viewOf } from './view.ts';

/*
 * The data plane: what applications read. It evaluates snapshots in memory and asks neither policy nor log nor identity
 * provider, so reads go on when the rest is down. Flags get here by events after a commit, and by reading the store anew.
 */

/**
 * The OpenFeature Remote Evaluation Protocol on bare `node:http`, ahead of Express: applications ask far more often
 * than people change anything.
 *
 *   POST /ofrep/v1/evaluate/flags/{key}   one flag for one context
 *   POST /ofrep/v1/evaluate/flags         all flags for one context, with ETag and If-None-Match
 *
 * The token says which environment and which namespaces are read; there is nothing in the path or the query that could
 * choose another. A flag of another namespace, one that is retired and one that never was get the same answer. Needs
 * neither policy engine nor log nor store.
 *
 * @see OFREP 0.3.0
 */

/** The largest body that is read, in bytes. */
const MAX_BODY_BYTES = 64 * 1024;

const FLAGS_PATH = '/ofrep/v1/evaluate/flags';

/** The environment that a token of audience `data:<environment>` reads, and the namespaces of it: `*` for all. */
export interface DataReader {
  readonly environment: string;
  readonly namespaces: Namespaces;
}

/** The headers that may carry a token (OFREP knows both), and what goes with it. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
  /** The proof of a token that is bound to a key, and what it has to fit. @see RFC 9449 */
  readonly dpop: string | undefined;
  readonly method: string;
  readonly target: string;
}

/** What the listener needs. */
export interface OfrepDeps {
  snapshots: Pick<Snapshots, 'current'>;
  /**
   * Takes what the headers hold that may carry a token. A result that is known at once MUST come as a plain value:
   * a promise costs a turn of the event loop on every request.
   *
   * @throws BrokerError when the token does not read any environment, or when there are two
   */
  authenticate: (credentials: Credentials) => DataReader | Promise<DataReader>;
  clock: Clock;
  log: { error(fields: object, message: string): void };
  metrics?: { answered(kind: 'single' | 'bulk', status: number): void };
}

/** One request on its way; `key` is null for all flags. */
interface OfrepCall {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly key: string | null;
}

function withKey(key: string | null, error: OfrepError): OfrepError {
  return key === null ? error : { key, ...error };
}

function general(errorDetails: string): OfrepError {
  return { errorCode: 'GENERAL', errorDetails };
}

function credentialsOf({ headers, method = '', url = '' }: IncomingMessage): Credentials {
  return {
    authorization: headers.authorization,
    apiKey: soleValue(headers['x-api-key']),
    dpop: soleValue(headers.dpop),
    method,
    target: url,
  };
}

/** Node joins the lines of these headers; its types know only that there may be several. */
function soleValue(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The flag key that a path names, null for all flags, undefined for a path that is not OFREP's. */
function keyOf(url: string): string | null | undefined {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  if (!path.startsWith(FLAGS_PATH)) return undefined;
  const rest = path.slice(FLAGS_PATH.length);
  if (rest === '' || rest === '/') return null;
  if (rest[0] !== '/' || rest.includes('/', 1)) return undefined;
  return decodeKey(rest.slice(1));
}

function decodeKey(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not a key of any flag either way; it gets the answer of one that does not exist.
    return encoded;
  }
}

function answerSingle(
  { res }: OfrepCall,
  { key, flag }: { key: string; flag: SnapshotFlag | undefined },
  body: Buffer | null,
  nowMs: number,
): void {
  const read = readContext(body);
  if ('fault' in read) {
    sendError(res, 400, { key, ...read.fault });
    return;
  }
  if (flag === undefined) {
    sendError(res, 404, { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: 'There is no such flag here.' });
    return;
  }
  sendAnswer(res, answerFor(flag, read.context, nowMs));
}

function answerBulk({ req, res }: OfrepCall, view: View, body: Buffer | null, nowMs: number): void {
  const read = readContext(body);
  if ('fault' in read) {
    sendError(res, 400, read.fault);
    return;
  }
  const tag = bulkTag(view, read.context, nowMs);
  if (isNoneMatch(req.headers['if-none-match'], tag)) sendNotModified(res, tag);
  else sendBulk(res, tag, bulkAnswerFor(view, read.context, nowMs));
}

/**
 * Makes the request listener of OFREP. It returns true when the request is its own, and then it alone answers; false
 * leaves request and response untouched for the next listener.
 */
export function createOfrepListener(deps: OfrepDeps): (req: IncomingMessage, res: ServerResponse) => boolean {
  const { snapshots, authenticate, clock, log, metrics } = deps;

  function answer(call: OfrepCall, reader: DataReader, body: Buffer | null): void {
    const snapshot = snapshots.current(reader.environment);
    if (snapshot === undefined) {
      // Never 401 or 404 here: clients would take those for final.
      sendError(call.res, 503, withKey(call.key, general('The flags are not loaded yet; try again.')), [
        'Retry-After',
        '1',
      ]);
      return;
    }
    const { key } = call;
    if (key === null) answerBulk(call, viewOf(snapshot, reader.namespaces), body, clock());
    else answerSingle(call, { key, flag: findFlag(snapshot, reader.namespaces, key) }, body, clock());
  }

  function refuse({ req, res, key }: OfrepCall, error: unknown): void {
    if (error instanceof BrokerError) {
      sendRefusal(res, error, { key, nowMs: clock() });
      return;
    }
    log.error({ err: error, method: req.method }, 'evaluation failed');
    if (res.headersSent) res.destroy();
    else sendError(res, 500, withKey(key, general('Something went wrong inside the broker.')));
  }

  function proceed(call: OfrepCall, body: Buffer | null): void {
    try {
      const reader = authenticate(credentialsOf(call.req));
      if (reader instanceof Promise) {
        reader.then((known) => answer(call, known, body)).catch((error: unknown) => refuse(call, error));
      } else answer(call, reader, body);
    } catch (error) {
      refuse(call, error);
    }
  }

  function receive(call: OfrepCall): void {
    const { req, res, key } = call;
    if (!hasBody(req)) {
      proceed(call, null);
      return;
    }
    if (!isPlainJson(req)) {
      sendError(
        res,
        415,
        withKey(key, general('Send the body as application/json in UTF-8, not compressed.')),
      );
      return;
    }
    readBody(req, MAX_BODY_BYTES, (body) => {
      if (body !== null) {
        proceed(call, body);
        return;
      }
      const error = general(`The body is larger than ${MAX_BODY_BYTES / 1024} KiB; send a smaller context.`);
      sendError(res, 413, withKey(key, error), ['Connection', 'close']);
      req.resume();
    });
  }

  return (req, res) => {
    const url = req.url ?? '';
    if (!url.startsWith('/ofrep/')) return false;
    const key = keyOf(url);
    if (key === undefined) sendError(res, 404, general('There is no such path here.'));
    else if (req.method === 'OPTIONS') sendPreflight(res);
    else if (req.method !== 'POST') {
      sendError(res, 405, withKey(key, general('Use POST.')), ['Allow', 'POST, OPTIONS']);
    } else {
      if (metrics !== undefined) {
        res.once('finish', () => metrics.answered(key === null ? 'bulk' : 'single', res.statusCode));
      }
      receive({ req, res, key });
    }
    return true;
  };
}
