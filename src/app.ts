import type { IncomingMessage, RequestListener } from 'node:http';
import express, { type Express, type Request, type Response } from 'express';
import helmet from 'helmet';
import { createOfrepListener, type OfrepDeps } from './data/ofrep.ts';
import type { Edge } from './decide/edge.ts';
import { limitAddress, type ServeOptions, serveRoutes } from './decide/serve-routes.ts';
import { BrokerError } from './errors.ts';
import { createAdmission } from './http/admission.ts';
import type { Metrics } from './http/metrics.ts';
import { problemWriter } from './http/problem.ts';
import type { CountAttempt } from './http/rate-limit.ts';
import { requestContext } from './http/request-context.ts';
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
  ofrep: OfrepDeps;
  metrics: Metrics;
  log: Logger;
}

/**
 * The HTTP surface: what no route may see is refused first. Then request id and log, body limits, and the routes of the list;
 * the problem writer is last. The data plane handles its requests before Express.
 */
export function createListener(deps: AppDeps): RequestListener {
  const admit = createAdmission({ publicUrl: deps.issuer, hosts: deps.hosts });
  const refusals: Refusals = new WeakMap();
  const control = createControlApp(deps, refusals);
  const answerOfrep = createOfrepListener(deps.ofrep);
  return (req, res) => {
    const refusal = admit(req);
    if (refusal !== null) {
      refusals.set(req, refusal);
      deps.metrics.turnedAway(refusal.code);
      // What follows on this connection may be the rest of this message.
      if (refusal.code === 'ambiguous_request') res.setHeader('Connection', 'close');
    }
    if (!answerOfrep(req, res, refusal)) control(req, res);
  };
}

/** Requests that are refused before they are routed. */
type Refusals = WeakMap<IncomingMessage, BrokerError>;

function createControlApp(deps: AppDeps, refusals: Refusals): Express {
  const { edge, log, metrics, issuer } = deps;
  const app = express();
  app.disable('x-powered-by');
  // Routes state their own strong entity tags; Express would add weak hashes of each body.
  app.disable('etag');
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');

  app.use(requestContext(deps));
  app.use(helmet());
  app.use(keepNowhere);
  // Refused here, so that the answer has the format of its path.
  app.use((req, _res, next) => next(refusals.get(req)));
  const options: ServeOptions = {
    edge,
    countAttempt: deps.countAttempt,
    turns: deps.turns,
    errorWriters: {
      problem: [],
      ofrep: [],
      oauth: oauthErrors(deps),
      scim: scimErrors(log),
      page: pageErrors(log),
      logout: logoutErrors({ log, turnedAway: metrics.turnedAway }),
    },
  };
  const routes = routesOf(edge.control.kinds);
  for (const domain of Object.keys(routes) as (keyof typeof routes)[]) {
    app.use(serveRoutes(routes[domain] as Parameters<typeof serveRoutes>[0], deps.routes[domain], options));
  }
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
  app.use(problemWriter(log, `${issuer}/.well-known/oauth-protected-resource`));
  return app;
}

/**
 * Marks answers as private by default. Shared caches may store an answer to a request with a session cookie (RFC 9111
 * section 3.5 covers only requests with `Authorization`), and browsers would show it again after a sign-out. Public
 * answers override this header.
 */
function keepNowhere(_req: Request, res: Response, next: () => void): void {
  res.setHeader('Cache-Control', 'no-store');
  next();
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
    const methods = paths.find(({ pattern }) => pattern.test(asked))?.methods;
    if (methods === undefined) {
      throw new BrokerError('not_found', `No route for ${req.method} ${asked}. docs/api.md lists the paths.`);
    }
    const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
    throw new BrokerError('method_not_allowed', `Use ${methods.join(' or ')} for this path.`, {
      headers: { Allow: allowed.join(', ') },
    });
  };
}
