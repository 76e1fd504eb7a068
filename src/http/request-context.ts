import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import type { Logger } from '../logger.ts';
import type { Metrics } from './metrics.ts';

declare module 'express-serve-static-core' {
  interface Request {
    /** Id of this HTTP request; it is in the log, in the answer's `X-Request-Id`, and in records. */
    id: string;
  }
}

/** A request id that a caller may send on; anything else gets a new one. */
const ACCEPTED_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Gives each request its id, and logs it once it is answered. Bodies and headers are not logged. */
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
    // Routers shorten the path while they work on it.
    const { method, path } = req;
    res.on('finish', () => {
      const ms = performance.now() - startedMs;
      metrics.answered(res.statusCode, ms / 1000);
      log.info({ request_id: req.id, method, path, status: res.statusCode, ms }, 'answered');
    });
    next();
  };
}
