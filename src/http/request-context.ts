import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
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

/** Assigns each request its id, and logs it after the response. Bodies and headers are not logged. */
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
    // Routers modify the path while they handle the request.
    const { method, path } = req;
    res.on('finish', () => {
      const ms = performance.now() - startedMs;
      metrics.answered(res.statusCode, ms / 1000);
      log.info({ request_id: req.id, method, path, status: res.statusCode, ms }, 'answered');
    });
    next();
  };
}
