import type { RequestListener } from 'node:http';
import express, { type Express, type Request, type Response } from 'express';
import helmet from 'helmet';
import { auditRoutes } from './audit/routes.ts';
import type { Clock } from './clock.ts';
import { flagRoutes } from './control/flag-routes.ts';
import { controlRoutes } from './control/routes.ts';
import { createOfrepListener, type OfrepDeps } from './data/ofrep.ts';
import { emergencyRoutes } from './emergency/routes.ts';
import { BrokerError } from './errors.ts';
import { type HealthDeps, healthRoutes } from './http/health.ts';
import { jsonBody } from './http/json-body.ts';
import type { Log } from './http/log.ts';
import type { Metrics } from './http/metrics.ts';
import { problemWriter } from './http/problem.ts';
import { requestContext } from './http/request-context.ts';
import { discoveryRoutes } from './identity/discovery-routes.ts';
import type { IssuerConfig } from './identity/issuers.ts';
import { keyRoutes } from './tokens/key-routes.ts';
import { type TokenRoutesDeps, tokenRoutes } from './tokens/routes.ts';
import type { Edge } from './use-case/edge.ts';

/** Everything that the HTTP surface is built from. */
export interface AppDeps {
  edge: Edge;
  identity: TokenRoutesDeps;
  /** What clients without a token may know. */
  discovery: { issuers: readonly IssuerConfig[]; version: string };
  ofrep: OfrepDeps;
  health: HealthDeps;
  metrics: Metrics;
  clock: Clock;
  log: Log;
  /** The freezes that hold now, as they are shown on every answer. */
  freezes(): readonly string[];
}

/**
 * The composition root of HTTP: request id and log, body limits, then the routes in the order of the planes; the
 * problem writer is last. The data plane meets its requests before Express does.
 */
export function createListener(deps: AppDeps): RequestListener {
  const control = createControlApp(deps);
  const answerOfrep = createOfrepListener(deps.ofrep);
  return (req, res) => {
    if (!answerOfrep(req, res)) control(req, res);
  };
}

function createControlApp(deps: AppDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  // Entity tags are versions here; Express would add weak hashes of each body.
  app.disable('etag');
  app.set('query parser', 'simple');

  app.use(requestContext(deps));
  app.use(helmet());
  app.use(showFreezes(deps.freezes));
  app.use(healthRoutes(deps.health, deps.metrics));
  app.use(tokenRoutes(deps.identity));
  app.use(discoveryRoutes(deps.discovery));
  app.use(jsonBody());
  app.use(controlRoutes(deps.edge));
  app.use(emergencyRoutes(deps.edge));
  app.use(flagRoutes(deps.edge));
  app.use(auditRoutes(deps.edge));
  app.use(keyRoutes(deps.edge, deps.identity.signingKeys));
  app.use(notFound);
  app.use(problemWriter(deps.log));
  return app;
}

/** How many freezes are named in a header; `GET /v1/freezes` lists all. */
const SHOWN_FREEZES = 3;

/** A freeze shows on every answer, so that nobody wonders why a write fails. Headers are small, so only the first few. */
function showFreezes(freezes: AppDeps['freezes']) {
  return (_req: Request, res: Response, next: () => void): void => {
    const active = freezes();
    if (active.length > 0) {
      const more = active.length > SHOWN_FREEZES ? [`and ${active.length - SHOWN_FREEZES} more`] : [];
      res.setHeader('Countersign-Freeze', [...active.slice(0, SHOWN_FREEZES), ...more].join(', '));
    }
    next();
  };
}

function notFound(req: Request): never {
  throw new BrokerError('not_found', `There is no ${req.method} ${req.path}. See the README for the paths.`);
}
