import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseQueryString } from 'node:querystring';
import { type Answer, sendText } from '../http/answer.ts';
import { isPlainJson, readJson } from '../http/json-body.ts';
import type { RequestContext } from '../http/request-context.ts';
import { answerTypeOf, bodyTypeOf, isWrite, type RouteShape } from '../http/route.ts';
import type { Arrival, ServedRoute } from './served-routes.ts';

/*
 * Plain requests on plain `node:http`, ahead of Express, whose routing costs more than the rest of the edge. Plain is what
 * has one spelling only: nothing to decode in the path, the usual content type, no condition. Everything else is left to
 * Express untouched, and answered in the same way; what a route states is carried out by the same function for both.
 */

/** A target in which Express would decode nothing and cut nothing off but the query. */
const PLAIN_TARGET = /^((?:\/[\w.~-]+)+)(?:\?([!$-~]*))?$/;

/** A route, and how to recognize it. */
interface Candidate extends ServedRoute {
  /** The pattern of plain paths, with a group for each parameter. */
  readonly pattern: RegExp;
  /** The names of the parameters. */
  readonly names: readonly string[];
  /** False if all its requests are left to Express. */
  readonly isPlain: boolean;
}

/** Serves a request, or answers false and leaves it untouched. */
export type ServePlain = (req: IncomingMessage, res: ServerResponse, context: RequestContext) => boolean;

/**
 * Serves the plain requests to routes with JSON, in the order of the list.
 *
 * @param problemOf answers an error of a route
 */
export function plainRequests(
  served: readonly ServedRoute[],
  problemOf: (error: unknown, requestId: string) => Answer,
): ServePlain {
  const candidates = Map.groupBy(served.map(candidateOf), ({ route }) => placeOf(route.method, route.path));

  async function answer({ route, serve }: ServedRoute, arrival: Arrival): Promise<void> {
    const { req, res, id } = arrival;
    try {
      const answered = await serve(arrival, isWrite(route) ? await readJson(req) : undefined);
      if (answered !== null) sendText(res, answered);
    } catch (error) {
      sendText(res, problemOf(error, id));
    }
  }

  return (req, res, context) => {
    const { method = '', url: target = '' } = req;
    const [, path, query] = PLAIN_TARGET.exec(target) ?? [];
    if (path === undefined) return false;
    for (const candidate of candidates.get(placeOf(method, path)) ?? []) {
      const values = candidate.pattern.exec(path);
      if (values === null) continue;
      if (!candidate.isPlain || !isPlain(req, candidate.route)) return false;
      context.route = candidate.route.path;
      const params = Object.fromEntries(
        candidate.names.map((name, place) => [name, values[place + 1] ?? '']),
      );
      answer(candidate, {
        req,
        res,
        id: context.id,
        trace_id: context.trace.id,
        target,
        path,
        params,
        query: parseQueryString(query ?? ''),
      }).catch((error: Error) => res.destroy(error));
      return true;
    }
    return false;
  };
}

/** Where a route is looked up: its method, and the beginning of its path, which is the same for few. */
function placeOf(method: string, path: string): string {
  return `${method} ${path.split('/', 3).join('/')}`;
}

function candidateOf({ route, serve }: ServedRoute): Candidate {
  const { path, spans, format, perAddress } = route;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const isJson = bodyTypeOf(route) === 'application/json' && answerTypeOf(route) === 'application/json';
  return {
    route,
    serve,
    names,
    pattern: new RegExp(
      `^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, spans === undefined ? '([^/]+)' : '(.+)')}$`,
    ),
    isPlain: format === 'problem' && isJson && spans === undefined && perAddress !== true,
  };
}

function isPlain(req: IncomingMessage, route: RouteShape): boolean {
  if (isWrite(route)) return isPlainJson(req);
  // Express answers 304 to conditions that hold.
  return req.headers['if-none-match'] === undefined && req.headers['if-modified-since'] === undefined;
}
