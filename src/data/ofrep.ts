import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { type CountAttempt, countedRefusal } from '../http/rate-limit.ts';
import { traceCall } from '../tracing.ts';
import { answerFor, type Evaluated, fixedEvaluated, viewTag } from './answers.ts';
import { createBulkAnswers } from './bulk.ts';
import { readContext } from './context.ts';
import { type AuthenticateReader, credentialsOf, type DataReader } from './credentials.ts';
import { keyOf, pathOf, routeOf, toldTag } from './ofrep-paths.ts';
import {
  type OfrepError,
  STREAM_HEADERS,
  sendAnswer,
  sendBulk,
  sendError,
  sendNotModified,
  sendPreflight,
  sendRefusal,
} from './ofrep-reply.ts';
import { evaluateFlags, followFlags } from './ofrep-routes.ts';
import { createOfrepStreams, type OfrepStreams } from './ofrep-stream.ts';
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

/** The method of evaluations. */
const METHOD: string = evaluateFlags.method;

/** How long a request waits for flags that an event of another broker told of. */
const CATCH_UP_MS = 1000;

/** The dependencies of the listener. */
export interface OfrepDeps {
  snapshots: Pick<Snapshots, 'current'>;
  /** Loads what others have written, if there is anything. */
  catchUp?: () => Promise<unknown>;
  /** Absent: changes are not told. */
  streams?: OfrepStreams;
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

/** Never with what was sent: a path may be a ticket. */
function traceRoute(req: IncomingMessage, res: ServerResponse, route: string | null): void {
  const trace = traceCall(req);
  if (trace.id === undefined) return;
  res.once('close', () => trace.end({ route, status: res.statusCode }));
}

function withKey(key: string | null, error: OfrepError): OfrepError {
  return key === null ? error : { key, ...error };
}

function general(errorDetails: string): OfrepError {
  return { errorCode: 'GENERAL', errorDetails };
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
  const streams = deps.streams === undefined ? null : createOfrepStreams(deps.streams, authenticate);
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
      const view = viewOf(snapshot, reader.namespaces);
      const told = toldTag(call.req.url ?? '');
      if (told === null || told === viewTag(view, nowMs)) answerBulk(call, { view, body, nowMs }, reader);
      else answerTold(call, { view, body, told }, reader).catch((error: unknown) => refuse(call, error));
      return;
    }
    const flag = findFlag(snapshot, reader.namespaces, key);
    const answered = answerSingle(call, { key, flag }, body, nowMs);
    if (answered !== null) evaluated?.(reader, answered, nowMs);
  }

  /** The flags that an event told of are others than those here: the event may be of another broker, or of a change ago. */
  async function answerTold(
    call: OfrepCall,
    { view, body, told }: { view: View; body: Buffer | null; told: string },
    reader: DataReader,
  ): Promise<void> {
    await catchUp();
    const snapshot = snapshots.current(reader.environment);
    const newest = snapshot === undefined ? view : viewOf(snapshot, reader.namespaces);
    const nowMs = clock();
    // ADR-0008: as long as they differ, the answer has a body, whatever the sender has.
    answerBulk(call, { view: newest, body, nowMs, isTold: told !== viewTag(newest, nowMs) }, reader);
  }

  /** Waits no longer than an application would, and serves what is there when the store does not answer. */
  async function catchUp(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CATCH_UP_MS);
    const caughtUp = deps.catchUp?.().catch((error: unknown) => {
      log.error({ err: error }, 'could not load what an event told of');
    });
    await Promise.race([caughtUp, late.promise]);
    clearTimeout(timer);
  }

  function answerBulk(
    { req, res }: OfrepCall,
    {
      view,
      body,
      nowMs,
      isTold = false,
    }: { view: View; body: Buffer | null; nowMs: number; isTold?: boolean },
    reader: DataReader,
  ): void {
    const question = bulk.ask(view, body, nowMs);
    if ('fault' in question) {
      sendError(res, 400, question.fault);
      return;
    }
    const address = streams?.addressFor(reader, req);
    const tag = address === undefined ? question.tag : `${question.tag.slice(0, -1)}-${address.mark}"`;
    const isUnchanged = !isTold && isNoneMatch(req.headers['if-none-match'], tag);
    if (isUnchanged) sendNotModified(res, tag);
    if (isUnchanged && evaluated === undefined) return;
    const answered = bulk.answer(question);
    if (!isUnchanged) sendBulk(res, tag, { ...answered, end: address?.text ?? '}' });
    // What is unchanged is in use, too.
    evaluated?.(reader, fixedEvaluated(view), nowMs);
    evaluated?.(reader, answered.rest.evaluated, nowMs);
  }

  function refuse(call: OfrepCall, error: unknown): void {
    countedRefusal(countAttempt, call.req, error).then(
      (refusal) => sendRefused(call, refusal),
      (fault: unknown) => sendRefused(call, fault),
    );
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

  /** True for the path of streams. */
  function serveStream(req: IncomingMessage, res: ServerResponse, path: string): boolean {
    if (streams === null || path !== followFlags.path) return false;
    traceRoute(req, res, path);
    if (req.method === 'OPTIONS') sendPreflight(res, followFlags.method);
    else if (req.method !== followFlags.method) {
      sendError(res, 405, general(`Use ${followFlags.method}.`), ['Allow', `${followFlags.method}, OPTIONS`]);
    } else {
      streams
        .open(req, res, STREAM_HEADERS)
        .catch((error: unknown) => refuse({ req, res, key: null }, error));
    }
    return true;
  }

  return (req, res, refusal = null) => {
    const url = req.url ?? '';
    if (!url.startsWith('/ofrep/')) return false;
    const path = pathOf(url);
    if (refusal === null && serveStream(req, res, path)) return true;
    const key = keyOf(path);
    traceRoute(req, res, routeOf(key));
    if (refusal !== null) refuse({ req, res, key: key ?? null }, refusal);
    else if (key === undefined) sendError(res, 404, general('Path not found.'));
    else if (req.method === 'OPTIONS') sendPreflight(res, METHOD);
    else if (req.method !== METHOD) {
      sendError(res, 405, withKey(key, general(`Use ${METHOD}.`)), ['Allow', `${METHOD}, OPTIONS`]);
    } else {
      if (counters !== null) res.on('finish', key === null ? counters.bulk : counters.single);
      receive({ req, res, key });
    }
    return true;
  };
}
