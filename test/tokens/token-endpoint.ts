import express, { type Express } from 'express';
import type { Edge } from '../../src/decide/edge.ts';
import { serveRoutes } from '../../src/decide/express-routes.ts';
import { servedRoutes } from '../../src/decide/served-routes.ts';
import { createTurns } from '../../src/http/turns.ts';
import type { IdentityLog } from '../../src/identity/refusal.ts';
import { metadataRoutes } from '../../src/tokens/metadata-routes.ts';
import { oauthErrors } from '../../src/tokens/oauth-routes.ts';
import { type TokenRoutesDeps, tokenRoutes } from '../../src/tokens/routes.ts';

/** Serves the exchange, the keys and their metadata, and nothing else of a broker. */
export function serveTokenEndpoint(issuer: string, deps: TokenRoutesDeps, log: IdentityLog): Express {
  const oauth = oauthErrors({ log, metrics: { turnedAway: () => undefined } });
  const options = {
    // No route here has a caller.
    edge: {} as Edge,
    turns: createTurns(),
    countAttempt: async () => undefined,
    errorWriters: { oauth, problem: [], scim: [], page: [], logout: [], ofrep: [] },
  };
  const app = express();
  app.use(serveRoutes(servedRoutes(tokenRoutes, deps, options), options));
  app.use(serveRoutes(servedRoutes(metadataRoutes, { issuer }, options), options));
  return app;
}
