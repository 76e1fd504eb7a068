import express, { type ErrorRequestHandler, type RequestHandler, type Response, Router } from 'express';
import { BrokerError } from '../errors.ts';
import type { Answer } from '../http/answer.ts';
import { assertUtf8, hasBody, readJson } from '../http/json-body.ts';
import type { CountAttempt } from '../http/rate-limit.ts';
import { ARCHIVE, bodyTypeOf, FORM, isWrite, type RouteShape } from '../http/route.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import type { RouteAnswer, ServedRoute } from './served-routes.ts';

/** The options of {@link serveRoutes}. */
export interface RouterOptions {
  countAttempt: CountAttempt;
  /** The writers of errors, by format. */
  errorWriters: Readonly<Record<RouteShape['format'], readonly ErrorRequestHandler[]>>;
}

/** Serves routes by Express: any request to them, in any spelling that HTTP allows. */
export function serveRoutes(
  served: readonly ServedRoute[],
  { countAttempt, errorWriters }: RouterOptions,
): Router {
  // Proxies restrict access by path, so that each call has exactly one path.
  const router = Router({ caseSensitive: true, strict: true });
  for (const { route, serve } of served) {
    const answer: RequestHandler = async (req, res) => {
      const { id, trace_id, originalUrl: target, path, params, query } = req;
      const answered = await serve({ req, res, id, trace_id, target, path, params, query }, req.body);
      if (answered !== null) send(res, answered);
    };
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
      return jsonBody(['application/scim+json', 'application/json'], false);
    case 'application/json':
      return jsonBody();
  }
}

/**
 * Reads JSON bodies.
 *
 * @param types the accepted media types
 * @param keepsNumbers false where no number of a body is ever kept or compared
 */
function jsonBody(types = ['application/json'], keepsNumbers = true): RequestHandler {
  return async (req, _res, next) => {
    const isJson = req.is(types);
    if (hasBody(req) && isJson === false) {
      throw new BrokerError('unsupported_media_type', `Send the body as ${types[0]}.`);
    }
    assertUtf8(req);
    if (typeof isJson === 'string') req.body = await readJson(req, { keepsNumbers });
    next();
  };
}

/** Counts each call of its paths as an attempt of the client's address. */
export function limitAddress(countAttempt: CountAttempt): RequestHandler {
  return async (req, _res, next) => {
    await countAttempt(req);
    next();
  };
}

function send(res: Response, { status, headers, cookies = [], type, body }: RouteAnswer): void {
  for (const { name, value, attributes } of cookies) {
    if (value === null) res.clearCookie(name, attributes);
    else res.cookie(name, value, attributes);
  }
  res.status(status).set(headers);
  if (body === undefined) {
    res.end();
    return;
  }
  // A route may send a more exact type than it declares.
  if (!res.hasHeader('Content-Type')) res.type(type);
  res.send(body);
}

/** The handler of errors whose answers a function writes. */
export function answeringErrors(
  answerOf: (error: unknown, requestId: string) => Answer,
): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    const answer = answerOf(error, req.id);
    if (res.headersSent) next(error);
    else send(res, answer);
  };
}
