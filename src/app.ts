import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type Express, type Request } from 'express';
import helmet from 'helmet';
import { createFlagdListener, type FlagdDeps } from './data/flagd.ts';
import { createOfrepListener, type OfrepDeps } from './data/ofrep.ts';
import { createSnapshotStreamListener, type SnapshotEvents } from './data/snapshot-events.ts';
import type { Edge } from './decide/edge.ts';
import { answeringErrors, limitAddress, type RouterOptions, serveRoutes } from './decide/express-routes.ts';
import { plainRequests } from './decide/plain-routes.ts';
import { type ServedRoute, servedRoutes } from './decide/served-routes.ts';
import { BrokerError } from './errors.ts';
import { createAdmission } from './http/admission.ts';
import { serveConsole } from './http/console-files.ts';
import type { Metrics } from './http/metrics.ts';
import { problemWriter } from './http/problem.ts';
import type { CountAttempt } from './http/rate-limit.ts';
import { type RequestContext, requestContext } from './http/request-context.ts';
import { pathPattern, type RouteShape } from './http/route.ts';
import type { Turns } from './http/turns.ts';
import type { Logger } from './logger.ts';
import { scimErrors } from './revocation/scim-routes.ts';
import { listRoutes, type RouteDeps, routesOf } from './routes.ts';
import { pageErrors } from './sessions/auth-routes.ts';
import { logoutErrors } from './sessions/logout-routes.ts';
import { oauthErrors } from './tokens/oauth-routes.ts';

/** The dependencies of the HTTP surface. */
export interface AppDeps {
  edge: Edge;
  turns: Turns;
  /** The dependencies of the routes of each domain. */
  routes: RouteDeps;
  /** The broker's public URL. */
  issuer: string;
  /** Other hosts that are served. */
  hosts: readonly string[];
  countAttempt: CountAttempt;
  snapshotEvents: SnapshotEvents;
  ofrep: OfrepDeps & Pick<FlagdDeps, 'documents' | 'read'>;
  metrics: Metrics;
  log: Logger;
  /** The folder of the built console; null if it is not served. */
  consoleFolder: string | null;
  /** Serves no request before Express: the answers must be the same. */
  onlyExpress: boolean;
}

/**
 * The HTTP surface: what no route may see is refused first. The data plane takes its requests, and plain requests to the
 * other routes are served directly, as are the files of the console; Express has all others, and the problem writer is its
 * last word.
 */
export function createListener(deps: AppDeps): RequestListener {
  const admit = createAdmission({ publicUrl: deps.issuer, hosts: deps.hosts });
  const answerOfrep = createOfrepListener(deps.ofrep);
  const begin = requestContext(deps);
  const headers = defaultHeaders();
  const problemOf = problemWriter(deps.log, `${deps.issuer}/.well-known/oauth-protected-resource`);
  const routes = routesOf(deps.edge.control.kinds);
  const domains = (Object.keys(routes) as (keyof typeof routes)[]).map((domain) =>
    servedRoutes(routes[domain] as Parameters<typeof servedRoutes>[0], deps.routes[domain], deps),
  );
  const answerFlagd = createFlagdListener({ ...deps.ofrep, problemOf });
  const answerConsole = serveConsole(deps.consoleFolder);
  const answerStream = createSnapshotStreamListener({
    ...deps.ofrep,
    events: deps.snapshotEvents,
    problemOf,
  });
  const servePlain = deps.onlyExpress ? () => false : plainRequests(domains.flat(), problemOf);
  const arrived: Arrived = new WeakMap();
  const control = createControlApp(deps, { domains, arrived, problemOf });
  return (req, res) => {
    const refusal = admit(req);
    if (refusal !== null) {
      deps.metrics.turnedAway(refusal.code);
      // What follows on this connection may be the rest of this message.
      if (refusal.code === 'ambiguous_request') res.setHeader('Connection', 'close');
    }
    if (answerOfrep(req, res, refusal)) return;
    const context = begin(req, res);
    for (const [name, value] of headers) res.setHeader(name, value);
    context.trace.within(() => {
      const isAnswered =
        refusal === null &&
        (answerFlagd(req, res, context) ||
          answerStream(req, res, context) ||
          servePlain(req, res, context) ||
          answerConsole(req, res, context));
      if (isAnswered) return;
      arrived.set(req, { context, refusal });
      control(req, res);
    });
  };
}

/** The requests that Express has, and why one is refused before it is routed. */
type Arrived = WeakMap<IncomingMessage, { context: RequestContext; refusal: BrokerError | null }>;

function createControlApp(
  deps: AppDeps,
  {
    domains,
    arrived,
    problemOf,
  }: {
    domains: readonly (readonly ServedRoute[])[];
    arrived: Arrived;
    problemOf: ReturnType<typeof problemWriter>;
  },
): Express {
  const { edge, log, metrics } = deps;
  const app = express();
  app.disable('x-powered-by');
  // Routes state their own strong entity tags; Express would add weak hashes of each body.
  app.disable('etag');
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');

  app.use((req, _res, next) => {
    const { context, refusal } = arrived.get(req) ?? neverArrived();
    req.id = context.id;
    req.trace_id = context.trace.id;
    // Refused here, so that the answer has the format of its path.
    next(refusal);
  });
  const options: RouterOptions = {
    countAttempt: deps.countAttempt,
    errorWriters: {
      problem: [],
      ofrep: [],
      oauth: oauthErrors(deps),
      scim: scimErrors(log),
      page: pageErrors(log),
      logout: logoutErrors({ log, turnedAway: metrics.turnedAway }),
    },
  };
  for (const served of domains) app.use(serveRoutes(served, options));
  const listed = listRoutes(edge.control.kinds);
  // What was refused before its route has the format of that route, too.
  for (const route of listed) {
    const writers = options.errorWriters[route.format];
    if (writers.length > 0) app.use(pathPattern(route), ...writers);
  }
  const answerNoRoute = noRoute(listed);
  for (const [prefix, format] of PREFIXES) {
    const { countAttempt, errorWriters } = options;
    app.use(prefix, limitAddress(countAttempt), answerNoRoute, ...errorWriters[format]);
  }
  app.use(answerNoRoute);
  app.use(answeringErrors(problemOf));
  return app;
}

function neverArrived(): never {
  throw new Error('a request has reached Express by itself');
}

/**
 * The headers of each answer, unless it sets them itself: those of helmet, which are the same for all, and that answers are
 * private. Shared caches may store an answer to a request with a session cookie (RFC 9111 section 3.5 covers only requests
 * with `Authorization`), and browsers would show it again after a sign-out. Public answers override this header.
 */
function defaultHeaders(): readonly (readonly [string, string])[] {
  const headers = new Map<string, string>();
  const res: Pick<ServerResponse, 'removeHeader'> & { setHeader: (name: string, value: string) => void } = {
    setHeader: (name, value) => headers.set(name, value),
    removeHeader: (name) => headers.delete(name),
  };
  helmet()({} as IncomingMessage, res as ServerResponse, (error) => {
    if (error !== undefined) throw error;
  });
  return [...headers, ['Cache-Control', 'no-store']];
}

/** Where every refusal has another format than a problem document, also of paths that are not in the list. */
const PREFIXES = [
  ['/auth', 'page'],
  ['/oauth', 'oauth'],
  ['/scim/v2', 'scim'],
] as const;

/** Refuses a path that is not in the list, or its method. @see RFC 9110 sections 15.5.5 and 15.5.6 */
function noRoute(routes: readonly RouteShape[]) {
  const paths = [...Map.groupBy(routes, ({ path }) => path).values()].map((group) => ({
    pattern: pathPattern(group[0] as RouteShape),
    methods: group.map(({ method }) => method),
  }));
  return (req: Request): never => {
    // Below a prefix, Express takes it off the path.
    const asked = req.baseUrl + req.path;
    // A path with a parameter may also be one that has a route of its own.
    const fitting = paths.filter(({ pattern }) => pattern.test(asked));
    const methods = [...new Set(fitting.flatMap((path) => path.methods))];
    if (methods.length === 0) {
      throw new BrokerError('not_found', `No route for ${req.method} ${asked}. docs/api.md lists the paths.`);
    }
    const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
    throw new BrokerError('method_not_allowed', `Use ${methods.join(' or ')} for this path.`, {
      headers: { Allow: allowed.join(', ') },
    });
  };
}
