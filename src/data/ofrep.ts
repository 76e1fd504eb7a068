import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { type CountAttempt, isWithoutIdentity } from '../http/rate-limit.ts';
import { traceCall } from '../tracing.ts';
import { answerFor, type Evaluated, fixedEvaluated } from './answers.ts';
import { createBulkAnswers } from './bulk.ts';
import { readContext } from './context.ts';
import { type AuthenticateReader, credentialsOf, type DataReader } from './credentials.ts';
import {
  type OfrepError,
  sendAnswer,
  sendBulk,
  sendError,
  sendNotModified,
  sendPreflight,
  sendRefusal,
} from './ofrep-reply.ts';
import { evaluateFlag, evaluateFlags } from './ofrep-routes.ts';
import { hasBody, isPlainJson, readBody } from './request-body.ts';
import type { SnapshotFlag, Snapshots } from './snapshot.ts';
import { findFlag, type View, viewOf } from './view.ts';

/*
 * The data plane: flag reads by applications. It evaluates snapshots in memory, without policy, log or identity
 * provider, so reads continue when these are down. Events after a commit and reloads from the store update the
 * snapshots.
 */

/**
 * The OpenFeature Remote Evaluation Protocol on plain `node:http`, ahead of Express, because reads are far more
 * frequent than writes. `ofrep-routes.ts` describes its calls.
 *
 * The token determines the environment and the namespaces. Path and query cannot select others. A flag of another
 * namespace, a retired flag and an unknown flag get the same response. Requires neither policy engine nor log nor
 * store.
 *
 * @see OFREP 0.3.0
 */

/** The maximum size of a request body, in bytes. */
const MAX_BODY_BYTES = 64 * 1024;

/** The method of both calls. */
const METHOD: string = evaluateFlags.method;

const FLAGS_PATH: string = evaluateFlags.path;

/** The path of one flag, up to its key. */
const KEY_PATH = evaluateFlag.path.slice(0, evaluateFlag.path.indexOf('{'));

/** The dependencies of the listener. */
export interface OfrepDeps {
  snapshots: Pick<Snapshots, 'current'>;
  authenticate: AuthenticateReader;
  /** Counts a request without a valid identity. @throws BrokerError `rate_limited` */
  countAttempt?: CountAttempt;
  clock: Clock;
  log: { error(fields: object, message: string): void };
  metrics?: { answered(kind: 'single' | 'bulk', status: number): void };
  /** Counts what was evaluated for whom. A list is the same object for the same answer. It MUST NOT wait or throw. */
  evaluated?: (reader: DataReader, what: Evaluated | readonly Evaluated[], nowMs: number) => void;
}

/** A request in progress; `key` is null for all flags. */
interface OfrepCall {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly key: string | null;
}

function traceEvaluation(req: IncomingMessage, res: ServerResponse, key: string | null | undefined): void {
  const trace = traceCall(req);
  if (trace.id === undefined) return;
  const path = key === null ? FLAGS_PATH : evaluateFlag.path;
  const route = key === undefined ? null : path;
  res.once('close', () => trace.end({ route, status: res.statusCode }));
}

function withKey(key: string | null, error: OfrepError): OfrepError {
  return key === null ? error : { key, ...error };
}

function general(errorDetails: string): OfrepError {
  return { errorCode: 'GENERAL', errorDetails };
}

/** The flag key of a path, null for all flags, undefined for a path outside OFREP. */
function keyOf(url: string): string | null | undefined {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  // Clients of flagd may append a slash.
  if (path === FLAGS_PATH || path === KEY_PATH) return null;
  if (!path.startsWith(KEY_PATH) || path.includes('/', KEY_PATH.length)) return undefined;
  return decodeKey(path.slice(KEY_PATH.length));
}

function decodeKey(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not a valid flag key either way, so it gets the response for an unknown flag.
    return encoded;
  }
}

/** @returns what was evaluated; null if nothing was */
function answerSingle(
  { res }: OfrepCall,
  { key, flag }: { key: string; flag: SnapshotFlag | undefined },
  body: Buffer | null,
  nowMs: number,
): Evaluated | null {
  const read = readContext(body);
  if ('fault' in read) {
    sendError(res, 400, { key, ...read.fault });
    return null;
  }
  if (flag === undefined) {
    sendError(res, 404, { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: 'Flag not found.' });
    return null;
  }
  const answer = answerFor(flag, read.context, nowMs);
  sendAnswer(res, answer);
  return answer;
}

/**
 * Creates the request listener of OFREP. It returns true when it handles the request. False leaves request and response
 * untouched for the next listener. A request with a `refusal` gets only that.
 */
export function createOfrepListener(
  deps: OfrepDeps,
): (req: IncomingMessage, res: ServerResponse, refusal?: BrokerError | null) => boolean {
  const { snapshots, authenticate, countAttempt, clock, log, metrics, evaluated } = deps;
  const bulk = createBulkAnswers();
  const counters = metrics === undefined ? null : { single: counting('single'), bulk: counting('bulk') };

  function counting(kind: 'single' | 'bulk'): (this: ServerResponse) => void {
    return function count() {
      metrics?.answered(kind, this.statusCode);
    };
  }

  function answer(call: OfrepCall, reader: DataReader, body: Buffer | null): void {
    const snapshot = snapshots.current(reader.environment);
    if (snapshot === undefined) {
      // Never 401 or 404 here: clients would treat those as final.
      sendError(call.res, 503, withKey(call.key, general('The flags are not loaded yet. Try again.')), [
        'Retry-After',
        '1',
      ]);
      return;
    }
    const { key } = call;
    const nowMs = clock();
    if (key === null) {
      answerBulk(call, { view: viewOf(snapshot, reader.namespaces), body, nowMs }, reader);
      return;
    }
    const flag = findFlag(snapshot, reader.namespaces, key);
    const answered = answerSingle(call, { key, flag }, body, nowMs);
    if (answered !== null) evaluated?.(reader, answered, nowMs);
  }

  function answerBulk(
    { req, res }: OfrepCall,
    { view, body, nowMs }: { view: View; body: Buffer | null; nowMs: number },
    reader: DataReader,
  ): void {
    const question = bulk.ask(view, body, nowMs);
    if ('fault' in question) {
      sendError(res, 400, question.fault);
      return;
    }
    const { tag } = question;
    const isUnchanged = isNoneMatch(req.headers['if-none-match'], tag);
    if (isUnchanged) sendNotModified(res, tag);
    if (isUnchanged && evaluated === undefined) return;
    const answered = bulk.answer(question);
    if (!isUnchanged) sendBulk(res, tag, answered);
    // What is unchanged is in use, too.
    evaluated?.(reader, fixedEvaluated(view), nowMs);
    evaluated?.(reader, answered.rest.evaluated, nowMs);
  }

  function refuse(call: OfrepCall, error: unknown): void {
    if (countAttempt === undefined || !isWithoutIdentity(error)) sendRefused(call, error);
    else {
      countAttempt(call.req).then(
        () => sendRefused(call, error),
        (limited: unknown) => sendRefused(call, limited),
      );
    }
  }

  function sendRefused({ req, res, key }: OfrepCall, error: unknown): void {
    if (error instanceof BrokerError) {
      sendRefusal(res, error, { key, nowMs: clock() });
      return;
    }
    log.error({ err: error, method: req.method }, 'evaluation failed');
    if (res.headersSent) res.destroy();
    else sendError(res, 500, withKey(key, general('Internal error of the broker.')));
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
        withKey(key, general('Send the body as application/json in UTF-8, without compression.')),
      );
      return;
    }
    readBody(req, MAX_BODY_BYTES, (body) => {
      if (body !== null) {
        proceed(call, body);
        return;
      }
      const error = general(`The body exceeds ${MAX_BODY_BYTES / 1024} KiB. Send a smaller context.`);
      sendError(res, 413, withKey(key, error), ['Connection', 'close']);
      req.resume();
    });
  }

  return (req, res, refusal = null) => {
    const url = req.url ?? '';
    if (!url.startsWith('/ofrep/')) return false;
    const key = keyOf(url);
    traceEvaluation(req, res, key);
    if (refusal !== null) refuse({ req, res, key: key ?? null }, refusal);
    else if (key === undefined) sendError(res, 404, general('Path not found.'));
    else if (req.method === 'OPTIONS') sendPreflight(res);
    else if (req.method !== METHOD) {
      sendError(res, 405, withKey(key, general(`Use ${METHOD}.`)), ['Allow', `${METHOD}, OPTIONS`]);
    } else {
      if (counters !== null) res.on('finish', key === null ? counters.bulk : counters.single);
      receive({ req, res, key });
    }
    return true;
  };
}
