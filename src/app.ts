import type { RequestListener } from 'node:http';
import express, { type Express, type Request, type Response } from 'express';
import helmet from 'helmet';
import { accessRoutes } from './access/routes.ts';
import { auditRoutes } from './audit/routes.ts';
import type { Clock } from './clock.ts';
import { createOfrepListener, type OfrepDeps } from './data/ofrep.ts';
import type { Edge } from './decide/edge.ts';
import { emergencyRoutes } from './emergency/routes.ts';
import { BrokerError } from './errors.ts';
import { flagRoutes } from './flags/routes.ts';
import { type HealthDeps, healthRoutes } from './http/health.ts';
import { jsonBody } from './http/json-body.ts';
import type { Metrics } from './http/metrics.ts';
import { problemWriter } from './http/problem.ts';
import { limitAttempts } from './http/rate-limit.ts';
import { requestContext } from './http/request-context.ts';
import { discoveryRoutes } from './issuers/discovery-routes.ts';
import type { IssuerConfig } from './issuers/issuers.ts';
import { keyRoutes } from './keys/routes.ts';
import type { Logger } from './logger.ts';
import { requestRoutes } from './requests/routes.ts';
import { type DrillRoutesDeps, drillRoutes } from './revocation/drill-routes.ts';
import { type RevocationRoutesDeps, revocationRoutes } from './revocation/routes.ts';
import { type ScimRoutesDeps, scimRoutes } from './revocation/scim-routes.ts';
import { type AuthRoutesDeps, authRoutes } from './sessions/auth-routes.ts';
import { type LogoutRoutesDeps, logoutRoutes } from './sessions/logout-routes.ts';
import { sessionRoutes } from './sessions/routes.ts';
import { delegationRoutes } from './tokens/delegation-routes.ts';
import { oauthErrors, type TokenRoutesDeps, tokenRoutes } from './tokens/routes.ts';
import { type TokenStatusRoutesDeps, tokenStatusRoutes } from './tokens/status-routes.ts';
import { type TrustRoutesDeps, trustRoutes } from './tokens/trust-routes.ts';

/** Everything that the HTTP surface is built from. */
export interface AppDeps {
  edge: Edge;
  identity: Omit<TokenRoutesDeps, 'turnedAway'>;
  /** People in a browser. */
  browser: Omit<AuthRoutesDeps, 'edge' | 'limitAttempts' | 'log'>;
  providerLogout: Omit<LogoutRoutesDeps, 'turnedAway'>;
  tokenStatus: TokenStatusRoutesDeps;
  trust: TrustRoutesDeps;
  revocation: Omit<RevocationRoutesDeps, 'signingKeys' | 'issuer'>;
  drill: Pick<DrillRoutesDeps, 'url'>;
  provisioning: Pick<ScimRoutesDeps, 'naming'>;
  /** Writes what has gathered about who uses what. */
  flushUsage(): Promise<void>;
  /** Proxies that say truly where a request comes from, as addresses and networks. */
  trustedProxies: readonly string[];
  /** What one address may try each minute where nobody has to say who they are; 0 sets no limit. */
  attemptsPerMinute: number;
  /** What clients without a token may know. */
  discovery: { issuers: readonly IssuerConfig[]; version: string };
  ofrep: OfrepDeps;
  health: HealthDeps;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
  /** The freezes that hold now, as they are shown on every answer. */
  freezes(): readonly string[];
}

/**
 * The HTTP surface: request id and log, body limits, then the routes in the order of the planes; the
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
  app.set('trust proxy', [...deps.trustedProxies]);

  app.use(requestContext(deps));
  app.use(helmet());
  app.use(keepNowhere);
  app.use(showFreezes(deps.freezes));
  app.use(healthRoutes(deps.health, deps.metrics));
  const limit = limitAttempts(deps.attemptsPerMinute);
  app.use('/oauth', limit, ...oauthErrors(deps.log));
  const { turnedAway } = deps.metrics;
  app.use(logoutRoutes({ ...deps.providerLogout, turnedAway }));
  app.use(authRoutes({ ...deps.browser, edge: deps.edge, limitAttempts: limit, log: deps.log }));
  app.use(tokenRoutes({ ...deps.identity, turnedAway }));
  app.use(tokenStatusRoutes(deps.edge, deps.tokenStatus));
  app.use(discoveryRoutes(deps.discovery));
  app.use(scimRoutes(deps.edge, { ...deps.provisioning, issuer: deps.identity.issuer, log: deps.log }));
  app.use(jsonBody());
  app.use(sessionRoutes(deps.edge, deps.browser.sessions));
  app.use(requestRoutes(deps.edge));
  app.use(emergencyRoutes(deps.edge));
  const { issuer, signingKeys } = deps.identity;
  app.use(revocationRoutes(deps.edge, { ...deps.revocation, issuer, signingKeys }));
  app.use(drillRoutes(deps.edge, { ...deps.drill, issuer, signingKeys, log: deps.log }));
  app.use(flagRoutes(deps.edge));
  app.use(auditRoutes(deps.edge));
  app.use(accessRoutes(deps.edge, deps.flushUsage));
  app.use(delegationRoutes(deps.edge, deps.identity));
  app.use(keyRoutes(deps.edge, deps.identity.signingKeys));
  app.use(trustRoutes(deps.edge, deps.trust));
  app.use(notFound);
  app.use(problemWriter(deps.log, `${deps.identity.issuer}/.well-known/oauth-protected-resource`));
  return app;
}

/**
 * Answers are for who asked: what comes by a session's cookie may be kept by caches that share it, unless they are told
 * (RFC 9111 section 3.5 guards only what comes by `Authorization`), and browsers would show it again after a sign-out.
 * What is for everybody says so itself.
 */
function keepNowhere(_req: Request, res: Response, next: () => void): void {
  res.setHeader('Cache-Control', 'no-store');
  next();
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
  throw new BrokerError('not_found', `There is no ${req.method} ${req.path}. See docs/api.md for the paths.`);
}
