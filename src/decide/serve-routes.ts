import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express';
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { parse } from '../http/body.ts';
import { jsonBody } from '../http/json-body.ts';
import { toBrokerError } from '../http/problem.ts';
import { parseQuery } from '../http/query.ts';
import { type CountAttempt, isWithoutIdentity } from '../http/rate-limit.ts';
import {
  ARCHIVE,
  answerTypeOf,
  bodyTypeOf,
  FORM,
  isWrite,
  queryOf,
  type RouteShape,
  takesTurns,
} from '../http/route.ts';
import type { Turns } from '../http/turns.ts';
import type { RequestCredentials } from '../identity/credential.ts';
import { schemeOf, TokenRefused, tokenInvalid } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { laneOf } from '../operations.ts';
import { unknownName } from '../unknown-name.ts';
import type { Call } from './control.ts';
import type { Edge, Given, Page, Reply, Route } from './edge.ts';
import { once, parseIdempotencyKey } from './idempotency.ts';
import { Refused } from './refused.ts';
import { refusalAsSeen } from './seen.ts';
import { lastRecordOf, write } from './write.ts';

/** The header with a place in the log, which is unique only with the epoch. */
const LOG_PLACE = 'Countersign-Log-Place';

/** The options of {@link serveRoutes}. */
export interface ServeOptions {
  edge: Edge;
  turns: Turns;
  countAttempt: CountAttempt;
  /** The writers of errors, by format. */
  errorWriters: Readonly<Record<RouteShape['format'], readonly ErrorRequestHandler[]>>;
}

/**
 * Serves a domain's routes: reads the request by the schemas of the route, runs its handler and writes the answer.
 * Everything that a route states about itself (caller, limits, idempotency, entity tags, paging) is carried out here.
 */
export function serveRoutes<Deps>(
  routes: readonly Route<Deps>[],
  deps: Deps,
  { edge, turns, countAttempt, errorWriters }: ServeOptions,
): Router {
  // Proxies restrict access by path, so that each call has exactly one path.
  const router = Router({ caseSensitive: true, strict: true });
  for (const route of routes) {
    // Built once: a schema is compiled when it is first used.
    const query = queryOf(route);
    const serve = async (req: Request, res: Response): Promise<void> => {
      if (route.deprecated !== undefined) noteDeprecation(res, route.deprecated);
      const given = await readRequest({ route, query, edge, countAttempt }, req, res);
      const reply = await route
        .handle(deps, given as never)
        .catch((error: unknown) => throwAsSeen(route, { edge, deps, given }, error))
        .catch((error: unknown) => {
          // Only what exists is recorded as not seen, so a record would tell that it exists.
          if (!isNotFound(error)) noteLogPlace(res, given.call);
          throw error;
        });
      noteLogPlace(res, given.call);
      if ('next' in reply) sendPage(route, given, { req, res, edge }, reply);
      else sendReply(route, res, reply);
    };
    const answer = takesTurns(route) ? turns.inTurn(laneOf(route.operation), serve) : serve;
    router[methodOf(route)](
      route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
        name === route.spans ? `*${name}` : `:${name}`,
      ),
      ...(route.perAddress === true ? [limitAddress(countAttempt)] : []),
      ...(isWrite(route) ? [bodyReader(route)] : []),
      answer,
      ...errorWriters[route.format],
    );
  }
  return router;
}

function methodOf({ method }: RouteShape) {
  return method.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete';
}

/** Forms must be UTF-8. With another encoding, an intermediary could read another request than the broker. */
const FORM_TYPE = /^application\/x-www-form-urlencoded *(?:; *charset=("?)utf-8\1 *)?$/i;

const readForm = express.text({
  type: ({ headers }) => FORM_TYPE.test(headers['content-type'] ?? ''),
  // Room for two tokens and the other parameters.
  limit: 3 * MAX_TOKEN_BYTES,
  inflate: false,
});

/** The maximum size of an archive. */
const MAX_ARCHIVE_BYTES = 16 * 1024 * 1024;

const readArchive = express.raw({ type: ARCHIVE, limit: MAX_ARCHIVE_BYTES, inflate: false });

function bodyReader(route: RouteShape): RequestHandler {
  switch (bodyTypeOf(route)) {
    case FORM:
      return readForm;
    case ARCHIVE:
      return readArchive;
    case 'application/scim+json':
      // No number of a user is kept, and an attribute that nobody needs must not keep somebody in.
      return jsonBody(['application/scim+json', 'application/json'], { keepsNumbers: false });
    case 'application/json':
      return jsonBody();
  }
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
  req: Request,
  res: Response,
): Promise<AnyGiven> {
  const presented = presentedBy(req);
  const call = await callOf(route, edge, presented, req.id).catch(async (error: unknown) => {
    if (route.perAddress !== true && isWithoutIdentity(error)) await countAttempt(req);
    throw error;
  });
  assertFollows(route, call, req.params.id);
  const freezes = call === null ? null : await edge.freezesSeenBy(call);
  if (freezes !== null) res.set('Countersign-Freeze', freezes);
  const { page, query } = splitPage(route, parseQuery(querySchema, req.query));
  const params = parseParams(route, req);
  const body = isWrite(route) ? parseBody(route, req.body) : undefined;
  const { limit, cursor } = page;
  const place = cursor === null ? null : edge.cursors.open(route.name, { ...params, ...query }, cursor);
  const given = {
    params,
    query,
    body,
    call,
    request: { id: req.id, target: req.originalUrl, presented, user_agent: req.get('User-Agent') ?? '' },
    ifMatch: route.ifMatch === true ? req.get('If-Match') : undefined,
    ifNoneMatch: route.ifNoneMatch === true ? req.get('If-None-Match') : undefined,
    page: { limit, place },
  };
  return { ...given, write: writerOf(route, call, { req, res, edge }) };
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
  requestId: string,
): Promise<Call | null> {
  if (caller === null) return null;
  // Pages accept no tokens.
  if (caller === 'session' && !edge.hasSession(presented)) {
    throw new BrokerError('unauthenticated', 'You are not signed in. Sign in at /auth/sign-in.');
  }
  return { ...(await edge.authenticate(presented, laneOf(operation))), http_request_id: requestId };
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

/** Counts each call of its paths as an attempt of the client's address. */
export function limitAddress(countAttempt: CountAttempt): RequestHandler {
  return async (req, _res, next) => {
    await countAttempt(req);
    next();
  };
}

/** A parameter that does not fit its schema names nothing that can exist. */
function parseParams({ params, path }: RouteShape, req: Request): object {
  if (params === undefined) return {};
  const named = Object.entries(req.params).map(([name, value]) => [name, [value].flat().join('/')]);
  const parsed = params.safeParse(Object.fromEntries(named));
  if (parsed.success) return parsed.data;
  const parameter = String(parsed.error.issues[0]?.path[0]);
  throw unknownName({
    what: thingOf(path, parameter),
    name: String(req.params[parameter]),
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
  { req, res, edge }: { req: Request; res: Response; edge: Edge },
): AnyGiven['write'] {
  const key =
    route.idempotent === true
      ? parseIdempotencyKey(req.get('Idempotency-Key'), {
          method: req.method,
          path: req.path,
          body: (req.body as unknown) ?? null,
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
    if (answer.replayed) res.set('Idempotent-Replayed', 'true');
    return answer.body as T;
  };
}

function isNotFound(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'not_found';
}

/** Names the place of the last record that a call wrote, refusals too. @see RFC 9651 section 3.3 */
function noteLogPlace(res: Response, call: Call | null): void {
  const last = call === null ? undefined : lastRecordOf(call);
  if (last !== undefined) res.set(LOG_PLACE, `${last.place};epoch=${last.epoch}`);
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
function noteDeprecation(res: Response, { on, instead }: NonNullable<RouteShape['deprecated']>): void {
  res.set('Deprecation', `@${Date.parse(on) / 1000}`);
  res.append('Link', `<${instead}>; rel="successor-version"`);
}

function sendReply(route: RouteShape, res: Response, reply: Reply<unknown>): void {
  const { body, status = route.success, headers = {}, cookies = [] } = reply;
  for (const { name, value, attributes } of cookies) {
    if (value === null) res.clearCookie(name, attributes);
    else res.cookie(name, value, attributes);
  }
  res.status(status).set(headers);
  if (status === route.success) {
    if (route.etag !== undefined) res.set('ETag', route.etag(body as never));
    if (route.location !== undefined) res.location(route.location(body as never));
  }
  if (body === undefined) {
    res.end();
    return;
  }
  // A route may send a more exact type than it declares.
  if (!res.hasHeader('Content-Type')) res.type(answerTypeOf(route));
  res.send(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
}

/** @see RFC 8288 for the Link header */
function sendPage(
  route: RouteShape,
  { params, query }: AnyGiven,
  { req, res, edge }: { req: Request; res: Response; edge: Edge },
  { items, next }: Page<unknown>,
): void {
  const cursor = next === null ? null : edge.cursors.seal(route.name, { ...params, ...query }, next);
  if (cursor !== null) {
    const url = new URL(req.originalUrl, 'http://localhost');
    url.searchParams.set('cursor', cursor);
    res.append('Link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  res.json({ items, next_cursor: cursor });
}

/** The credentials in an HTTP request. */
function presentedBy(req: Request): RequestCredentials {
  return {
    authorization: req.headers.authorization,
    dpop: req.headersDistinct.dpop ?? [],
    cookie: req.headers.cookie,
    method: req.method,
    target: req.originalUrl,
    origin: req.headers.origin,
    fetch_site: req.get('Sec-Fetch-Site'),
  };
}
