import { Router } from 'express';
import { callOf, type Edge } from '../decide/edge.ts';
import { introspect } from './introspect.ts';
import type { TokenStatusDeps } from './live-token.ts';
import { oauthErrors, readForm, tokenOfForm } from './routes.ts';
import { surrenderToken } from './surrender.ts';

/** What {@link tokenStatusRoutes} needs. */
export type TokenStatusRoutesDeps = Omit<TokenStatusDeps, 'control'>;

/**
 * `POST /oauth/introspect` (RFC 7662) and `POST /oauth/revoke` (RFC 7009). Introspection authenticates its caller like
 * any other route. Revocation does not, because possession of the token is sufficient. Errors have OAuth's own format.
 */
export function tokenStatusRoutes(edge: Edge, given: TokenStatusRoutesDeps): Router {
  const deps: TokenStatusDeps = { ...given, control: edge.control };
  const router = Router();
  router.post('/oauth/introspect', readForm, async (req, res) => {
    res.set('Cache-Control', 'no-store');
    const call = await callOf(edge, req);
    res.json(await introspect(deps, call, tokenOfForm(req)));
  });
  router.post('/oauth/revoke', readForm, async (req, res) => {
    res.set('Cache-Control', 'no-store');
    await surrenderToken(deps, tokenOfForm(req), req.id);
    res.status(200).end();
  });
  router.use(['/oauth/introspect', '/oauth/revoke'], ...oauthErrors(given.log));
  return router;
}
