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

/** The dependencies of the HTTP surface. */
export interface AppDeps {
  edge: Edge;
  identity: Omit<TokenRoutesDeps, 'turnedAway'>;
  /** Browser sessions of persons. */
  browser: Omit<AuthRoutesDeps, 'edge' | 'limitAttempts' | 'log'>;
  providerLogout: Omit<LogoutRoutesDeps, 'turnedAway'>;
  tokenStatus: TokenStatusRoutesDeps;
  trust: TrustRoutesDeps;
  revocation: Omit<RevocationRoutesDeps, 'signingKeys' | 'issuer'>;
  drill: Pick<DrillRoutesDeps, 'url'>;
  provisioning: Pick<ScimRoutesDeps, 'naming'>;
  /** Writes pending usage data. */
  flushUsage(): Promise<void>;
  /** Trusted proxies, whose `X-Forwarded-For` is used, as addresses and networks. */
  trustedProxies: readonly string[];
  /** Attempts per minute and address on endpoints without authentication; 0 means no limit. */
  attemptsPerMinute: number;
  /** Information for clients without a token. */
  discovery: { issuers: readonly IssuerConfig[]; version: string };
  ofrep: OfrepDeps;
  health: HealthDeps;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
  /** The active freezes, as shown on every answer. */
  freezes(): readonly string[];
}

/**
 * The HTTP surface: request id and log, body limits, then the routes in the order of the planes; the
 * problem writer is last. The data plane handles its requests before Express.
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
 * Marks answers as private by default. Shared caches may store an answer to a request with a session cookie (RFC 9111
 * section 3.5 covers only requests with `Authorization`), and browsers would show it again after a sign-out. Public
 * answers override this header.
 */
function keepNowhere(_req: Request, res: Response, next: () => void): void {
  res.setHeader('Cache-Control', 'no-store');
  next();
}

/** The number of freezes named in the header; `GET /v1/freezes` lists all. */
const SHOWN_FREEZES = 3;

/** Shows active freezes on every answer, to explain failing writes. Limited to the first few, to keep the header small. */
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
  throw new BrokerError('not_found', `No route for ${req.method} ${req.path}. docs/api.md lists the paths.`);
}
