import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import type { Answer } from '../http/answer.ts';
import { parse } from '../http/body.ts';
import { toBrokerError } from '../http/problem.ts';
import { parseQuery } from '../http/query.ts';
import { type CountAttempt, countedRefusal } from '../http/rate-limit.ts';
import { ARCHIVE, answerTypeOf, FORM, isWrite, queryOf, type RouteShape, takesTurns } from '../http/route.ts';
import type { Turns } from '../http/turns.ts';
import type { RequestCredentials } from '../identity/credential.ts';
import { schemeOf, TokenRefused, tokenInvalid } from '../identity/refusal.ts';
import { laneOf } from '../operations.ts';
import type { CookieChange } from '../sessions/cookies.ts';
import { unknownName } from '../unknown-name.ts';
import type { Call, CallIds } from './control.ts';
import type { Edge, Given, Page, Reply, Route } from './edge.ts';
import { once, parseIdempotencyKey } from './idempotency.ts';
import { Refused } from './refused.ts';
import { refusalAsSeen } from './seen.ts';
import { lastRecordOf, write } from './write.ts';

/*
 * Everything that a route states about itself (caller, limits, idempotency, entity tags, paging) is carried out here, once,
 * on what `node:http` provides. Requests come by Express (`express-routes.ts`), or directly (`plain-routes.ts`).
 */

/** The header with a place in the log, which is unique only with the epoch. */
const LOG_PLACE = 'Countersign-Log-Place';

/** A request that has reached its route. */
export interface Arrival {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The id of the HTTP request. */
  readonly id: string;
  /** The id of its trace. */
  readonly trace_id: string | undefined;
  /** Path and query as they were sent. */
  readonly target: string;
  /** The path without the query. */
  readonly path: string;
  /** The parameters of the path, decoded; one that spans segments has several. */
  readonly params: Readonly<Record<string, string | string[]>>;
  /** The parameters of the query: text, or a list for a repeated one. */
  readonly query: object;
}

/** The answer of a route. */
export interface RouteAnswer extends Answer {
  readonly cookies?: readonly CookieChange[];
}

/** A route with its handler. */
export interface ServedRoute {
  readonly route: RouteShape;
  /**
   * Reads the request by the schemas of the route, and runs its handler.
   *
   * @param body as it was read: JSON, the text of a form, or an archive
   * @returns the answer; null if the client has left, so that nothing was done, or if a stream has the response
   * @throws the error of the route. Headers of an answer of either kind are set on the response
   */
  serve(arrival: Arrival, body: unknown): Promise<RouteAnswer | null>;
}

/** The options of {@link servedRoutes}. */
export interface ServeOptions {
  edge: Edge;
  turns: Turns;
  countAttempt: CountAttempt;
}

/** The routes of a domain with their handlers. */
export function servedRoutes<Deps>(
  routes: readonly Route<Deps>[],
  deps: Deps,
  { edge, turns, countAttempt }: ServeOptions,
): ServedRoute[] {
  return routes.map((route) => {
    // Built once: a schema is compiled when it is first used.
    const query = queryOf(route);
    const lane = laneOf(route.operation);
    const answer = async (arrival: Arrival, body: unknown): Promise<RouteAnswer | null> => {
      const { res } = arrival;
      if (route.deprecated !== undefined) noteDeprecation(res, route.deprecated);
      const given = await readRequest({ route, query, edge, countAttempt }, arrival, body);
      const reply = await route
        .handle(deps, given as never)
        .catch((error: unknown) => throwAsSeen(route, { edge, deps, given }, error))
        .catch((error: unknown) => {
          // Only what exists is recorded as not seen, so a record would tell that it exists.
          if (!isNotFound(error)) noteLogPlace(res, given.call);
          throw error;
        });
      // The stream has the response.
      if (route.streams === true) return null;
      noteLogPlace(res, given.call);
      return 'next' in reply ? pageAnswer(route, given, { arrival, edge }, reply) : replyAnswer(route, reply);
    };
    return {
      route,
      serve: takesTurns(route)
        ? (arrival, body) => turns.inTurn(lane, arrival, () => answer(arrival, body))
        : answer,
    };
  });
}

/** A body that must be empty, or an empty object. */
const emptyBody = z.strictObject({}).optional();

type AnyGiven = Given<object, object, unknown, Call | null>;

async function readRequest(
  {
    route,
    query: querySchema,
    edge,
    countAttempt,
  }: { route: RouteShape; query: z.ZodObject; edge: Edge; countAttempt: CountAttempt },
  arrival: Arrival,
  sent: unknown,
): Promise<AnyGiven> {
  const { req, res, id, trace_id, target } = arrival;
  const ids = { http_request_id: id, trace_id };
  const presented = presentedBy(arrival);
  const counted = async (error: unknown): Promise<never> => {
    // There, every call has been counted.
    throw route.perAddress === true ? error : await countedRefusal(countAttempt, req, error);
  };
  const reader = route.caller === 'data' ? await edge.authenticateData(presented).catch(counted) : null;
  const call = await callOf(route, edge, presented, ids).catch(counted);
  assertFollows(route, call, arrival.params.id);
  const freezes = call === null ? null : await edge.freezesSeenBy(call);
  if (freezes !== null) res.setHeader('Countersign-Freeze', freezes);
  const { page, query } = splitPage(route, parseQuery(querySchema, arrival.query));
  const params = parseParams(route, arrival.params);
  const body = isWrite(route) ? parseBody(route, sent) : undefined;
  const { limit, cursor } = page;
  const place = cursor === null ? null : edge.cursors.open(route.name, { ...params, ...query }, cursor);
  const given = {
    params,
    query,
    body,
    call,
    reader,
    request: {
      ids,
      target,
      presented,
      user_agent: req.headers['user-agent'] ?? '',
      last_event_id: soleValue(req.headers['last-event-id']),
    },
    ifMatch: route.ifMatch === true ? req.headers['if-match'] : undefined,
    ifNoneMatch: route.ifNoneMatch === true ? req.headers['if-none-match'] : undefined,
    page: { limit, place },
    stream: (open: (response: ServerResponse) => Promise<void>) => open(res),
  };
  return { ...given, write: writerOf(route, call, { arrival, sent, edge }) };
}

/** The parameters of a page, which only lists have, and the others. */
function splitPage(
  { paged }: RouteShape,
  read: Record<string, unknown>,
): { page: { limit: number; cursor: string | null }; query: Record<string, unknown> } {
  if (paged !== true) return { page: { limit: 0, cursor: null }, query: read };
  const { limit, cursor, ...query } = read;
  return { page: { limit: Number(limit), cursor: typeof cursor === 'string' ? cursor : null }, query };
}

async function callOf(
  { caller, operation }: RouteShape,
  edge: Edge,
  presented: RequestCredentials,
  ids: CallIds,
): Promise<Call | null> {
  if (caller === null || caller === 'data') return null;
  // Pages accept no tokens.
  if (caller === 'session' && !edge.hasSession(presented)) {
    throw new BrokerError('unauthenticated', 'You are not signed in. Sign in at /auth/sign-in.');
  }
  return { ...(await edge.authenticate(presented, laneOf(operation))), ...ids };
}

/**
 * A token that follows a request reads that request, and nothing else that its principal may.
 *
 * @throws BrokerError `token_invalid`
 */
function assertFollows({ readsOneRequest }: RouteShape, call: Call | null, id: unknown): void {
  const only = call?.credential?.only_request;
  if (only === undefined || (readsOneRequest === true && id === only)) return;
  const scheme = call?.credential ? schemeOf(call.credential) : 'Bearer';
  throw tokenInvalid(new TokenRefused('audience_not_accepted', 'follows another request'), scheme);
}

/** A parameter that does not fit its schema names nothing that can exist. */
function parseParams({ params, path }: RouteShape, sent: Arrival['params']): object {
  if (params === undefined) return {};
  const named = Object.entries(sent).map(([name, value]) => [name, [value].flat().join('/')]);
  const parsed = params.safeParse(Object.fromEntries(named));
  if (parsed.success) return parsed.data;
  const parameter = String(parsed.error.issues[0]?.path[0]);
  throw unknownName({
    what: thingOf(path, parameter),
    name: String(sent[parameter]),
    more: `The ${parameter} in the path is malformed.`,
  });
}

/** What a parameter of a path names: the part before it, of one. */
function thingOf(path: string, parameter: string): string {
  const [, before = 'thing'] = new RegExp(`/([a-z-]+)/\\{${parameter}\\}`).exec(path) ?? [];
  return before.replace(/s$/, '');
}

function parseBody({ body, bodyType, format }: RouteShape, sent: unknown): unknown {
  // Standards other than this API define which members are ignored; their routes parse the body themselves.
  if (bodyType === FORM || format === 'scim') return sent;
  if (bodyType === ARCHIVE) return assertArchive(sent);
  if (body === undefined) {
    parse(emptyBody, sent);
    return undefined;
  }
  return parse(body, sent);
}

function assertArchive(sent: unknown): Buffer {
  if (Buffer.isBuffer(sent) && sent.length > 0) return sent;
  throw new BrokerError('unsupported_media_type', `Send the archive as ${ARCHIVE}.`);
}

function writerOf(
  route: RouteShape,
  call: Call | null,
  { arrival, sent, edge }: { arrival: Arrival; sent: unknown; edge: Edge },
): AnyGiven['write'] {
  const { req, res, path } = arrival;
  const key =
    route.idempotent === true
      ? parseIdempotencyKey(soleValue(req.headers['idempotency-key']), {
          method: req.method ?? '',
          path,
          body: sent ?? null,
        })
      : null;
  return async <T>(work: Parameters<AnyGiven['write']>[0]): Promise<T> => {
    if (call === null) throw new Error(`the route ${route.name} has no caller and cannot write`);
    const answer = await write(
      edge.control,
      call,
      (writing) =>
        once(writing, key, async () => {
          const body = await work(writing);
          return body instanceof Refused ? body : { status: route.success, body };
        }),
      laneOf(route.operation),
    );
    if (answer.replayed) res.setHeader('Idempotent-Replayed', 'true');
    return answer.body as T;
  };
}

function isNotFound(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'not_found';
}

/** Names the place of the last record that a call wrote, refusals too. @see RFC 9651 section 3.3 */
function noteLogPlace(res: ServerResponse, call: Call | null): void {
  const last = call === null ? undefined : lastRecordOf(call);
  if (last !== undefined) res.setHeader(LOG_PLACE, `${last.place};epoch=${last.epoch}`);
}

/** @throws the error of a handler, or the answer in its place */
async function throwAsSeen<Deps>(
  route: Route<Deps>,
  { edge, deps, given }: { edge: Edge; deps: Deps; given: AnyGiven },
  error: unknown,
): Promise<never> {
  const { call } = given;
  const { namedBy } = route;
  if (namedBy === undefined || call === null) throw error;
  const refusal = toBrokerError(error);
  throw await refusalAsSeen(edge.control, call, refusal, () => namedBy(deps, given as never));
}

/** @see RFC 9745 */
function noteDeprecation(res: ServerResponse, { on, instead }: NonNullable<RouteShape['deprecated']>): void {
  res.setHeader('Deprecation', `@${Date.parse(on) / 1000}`);
  res.appendHeader('Link', `<${instead}>; rel="successor-version"`);
}

function replyAnswer(route: RouteShape, reply: Reply<unknown>): RouteAnswer {
  const { body, status = route.success, headers, cookies = [] } = reply;
  const own: Record<string, string> = { ...headers };
  if (status === route.success) {
    if (route.etag !== undefined) own.ETag = route.etag(body as never);
    if (route.location !== undefined) own.Location = route.location(body as never);
  }
  const isText = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
  return {
    status,
    headers: own,
    cookies,
    type: answerTypeOf(route),
    body: isText ? body : JSON.stringify(body),
  };
}

/** @see RFC 8288 for the Link header */
function pageAnswer(
  route: RouteShape,
  { params, query }: AnyGiven,
  { arrival: { res, target }, edge }: { arrival: Arrival; edge: Edge },
  { items, next }: Page<unknown>,
): RouteAnswer {
  const cursor = next === null ? null : edge.cursors.seal(route.name, { ...params, ...query }, next);
  if (cursor !== null) {
    const url = new URL(target, 'http://localhost');
    url.searchParams.set('cursor', cursor);
    res.appendHeader('Link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  const body = JSON.stringify({ items, next_cursor: cursor });
  return { status: 200, headers: {}, type: 'application/json', body };
}

const NO_PROOFS: readonly string[] = [];

/** The credentials in an HTTP request. */
function presentedBy({ req, target }: Arrival): RequestCredentials {
  const { headers, method = '' } = req;
  return {
    authorization: headers.authorization,
    // Node joins several lines, except in this view of all headers, which is built when it is first read.
    dpop: headers.dpop === undefined ? NO_PROOFS : (req.headersDistinct.dpop ?? NO_PROOFS),
    cookie: headers.cookie,
    method,
    target,
    origin: headers.origin,
    fetch_site: soleValue(headers['sec-fetch-site']),
  };
}

/** The value of a field that is admitted only once. */
function soleValue(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
