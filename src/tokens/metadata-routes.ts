import { type RequestHandler, Router } from 'express';
import { PROOF_ALGORITHMS } from '../identity/credential.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { TOKEN_EXCHANGE_GRANT } from './exchange-form.ts';

/**
 * Public metadata: the authorization server that issues tokens (RFC 8414) and the protected resource that accepts them
 * (RFC 9728). Both are this broker. People sign in at the identity providers that `/.well-known/countersign` names, so
 * there is no authorization endpoint or device flow (RFC 8628) here.
 *
 * @param issuer the broker's public URL; it has no path, so there is none to insert (RFC 8414 section 3.1)
 */
export function metadataRoutes(issuer: string): Router {
  const router = Router();
  router.get('/.well-known/oauth-authorization-server', publish(authorizationServer(issuer)));
  router.get('/.well-known/oauth-protected-resource', publish(protectedResource(issuer)));
  return router;
}

/** @see RFC 8414 section 2 */
function authorizationServer(issuer: string): Record<string, unknown> {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/token`,
    token_endpoint_auth_methods_supported: ['none'],
    grant_types_supported: [TOKEN_EXCHANGE_GRANT],
    response_types_supported: [],
    scopes_supported: OPERATION_NAMES,
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    // Callers authenticate with a token, as for every other call.
    introspection_endpoint_auth_methods_supported: ['Bearer', 'DPoP'],
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: ['none'],
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    protected_resources: [issuer],
  };
}

/** @see RFC 9728 section 2 */
function protectedResource(issuer: string): Record<string, unknown> {
  return {
    resource: issuer,
    resource_name: 'Countersign',
    authorization_servers: [issuer],
    scopes_supported: OPERATION_NAMES,
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    dpop_bound_access_tokens_required: false,
  };
}

function publish(document: Record<string, unknown>): RequestHandler {
  return (_req, res) => {
    res.set('Cache-Control', 'public, max-age=60').json(document);
  };
}
