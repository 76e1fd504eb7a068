import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request } from 'express';
import type { Logger } from '../logger.ts';
import { type CallTrace, traceCall } from '../tracing.ts';
import type { Metrics } from './metrics.ts';

declare module 'express-serve-static-core' {
  interface Request {
    /** The id of this HTTP request. */
    id: string;
    /** The id of its trace. */
    trace_id: string | undefined;
  }
}

/** What is known of an HTTP request beside what it says. */
export interface RequestContext {
  /** Its id. It appears in the log, in the response's `X-Request-Id`, and in records. */
  readonly id: string;
  readonly trace: CallTrace;
  /** The path of its route as docs/api.md has it, such as `/v1/flags/{key}`; null where Express finds the route. */
  route: string | null;
}

/** The format of a request id that callers may set. Anything else is replaced by a new one. */
const ACCEPTED_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Assigns each request its id and its trace, and logs it after the response. Nothing that the caller wrote is logged: of the path only the
 * route, because anything can be pasted into a path, also a token.
 */
export function requestContext({
  log,
  metrics,
}: {
  log: Logger;
  metrics: Pick<Metrics, 'answered'>;
}): (req: IncomingMessage, res: ServerResponse) => RequestContext {
  // The fields of this line are fixed and no secrets. To look for any costs more than the rest of the line.
  const lines = log.child({}, { redact: [] });
  return (req, res) => {
    const { method } = req;
    const sent = req.headers['x-request-id'];
    const id = typeof sent === 'string' && ACCEPTED_ID.test(sent) ? sent : randomUUID();
    const trace = traceCall(req);
    const context: RequestContext = { id, trace, route: null };
    res.setHeader('X-Request-Id', id);
    const startedMs = performance.now();
    res.once('finish', () => {
      const ms = performance.now() - startedMs;
      const { statusCode: status } = res;
      metrics.answered(status, ms / 1000);
      const route = context.route ?? routeOf(req);
      lines.info({ request_id: id, trace_id: trace.id, method, route, status, ms }, 'answered');
    });
    if (trace.id !== undefined) {
      // Also where the client has left before its answer.
      res.once('close', () => trace.end({ route: context.route ?? routeOf(req), status: res.statusCode }));
    }
    return context;
  };
}

/** The path of the route that Express has found. */
function routeOf(req: IncomingMessage & Partial<Pick<Request, 'route'>>): string | null {
  const { path } = (req.route ?? {}) as { path?: unknown };
  return typeof path === 'string' ? path.replaceAll(/:(\w+)/g, '{$1}') : null;
}
