import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import type { Logger } from '../logger.ts';
import type { Metrics } from './metrics.ts';

declare module 'express-serve-static-core' {
  interface Request {
    /** The id of this HTTP request. It appears in the log, in the response's `X-Request-Id`, and in records. */
    id: string;
  }
}

/** The format of a request id that callers may set. Anything else is replaced by a new one. */
const ACCEPTED_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Assigns each request its id, and logs it after the response. Nothing that the caller wrote is logged: of the path only the
 * route, because anything can be pasted into a path, also a token.
 */
export function requestContext({
  log,
  metrics,
}: {
  log: Logger;
  metrics: Pick<Metrics, 'answered'>;
}): RequestHandler {
  return (req, res, next) => {
    const sent = req.headers['x-request-id'];
    req.id = typeof sent === 'string' && ACCEPTED_ID.test(sent) ? sent : randomUUID();
    res.setHeader('X-Request-Id', req.id);
    const startedMs = performance.now();
    res.on('finish', () => {
      const ms = performance.now() - startedMs;
      metrics.answered(res.statusCode, ms / 1000);
      const { id, method } = req;
      log.info({ request_id: id, method, route: routeOf(req), status: res.statusCode, ms }, 'answered');
    });
    next();
  };
}

/** The path of the route as docs/api.md has it, such as `/v1/flags/{key}`; null if there is no such route. */
function routeOf({ route }: Request): string | null {
  const { path } = (route ?? {}) as { path?: unknown };
  return typeof path === 'string' ? path.replaceAll(/:(\w+)/g, '{$1}') : null;
}
