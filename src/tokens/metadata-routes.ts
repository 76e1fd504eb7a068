import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { anyQuery, PUBLIC, PUBLISHED } from '../http/route.ts';
import { PROOF_ALGORITHMS } from '../identity/credential.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { TOKEN_EXCHANGE_GRANT } from './exchange-form.ts';

/** The dependencies of {@link metadataRoutes}. */
export interface MetadataRoutesDeps {
  /** The broker's public URL. It has no path, so there is none to insert (RFC 8414 section 3.1). */
  issuer: string;
}

const names = z.array(z.string()).readonly();

/** @see RFC 8414 section 2 */
const authorizationServerSchema = z
  .object({
    issuer: z.string(),
    token_endpoint: z.string(),
    token_endpoint_auth_methods_supported: names,
    grant_types_supported: names,
    response_types_supported: names,
    scopes_supported: names,
    dpop_signing_alg_values_supported: names,
    introspection_endpoint: z.string(),
    introspection_endpoint_auth_methods_supported: names,
    revocation_endpoint: z.string(),
    revocation_endpoint_auth_methods_supported: names,
    jwks_uri: z.string(),
    protected_resources: names,
  })
  .meta({ id: 'AuthorizationServerMetadata' });

/** @see RFC 9728 section 2 */
const protectedResourceSchema = z
  .object({
    resource: z.string(),
    resource_name: z.string(),
    authorization_servers: names,
    scopes_supported: names,
    bearer_methods_supported: names,
    dpop_signing_alg_values_supported: names,
    dpop_bound_access_tokens_required: z.boolean(),
  })
  .meta({ id: 'ProtectedResourceMetadata' });

const { route } = routesFor<MetadataRoutesDeps>({ tag: 'Tokens', format: 'problem', since: '1.0' });

/**
 * Public metadata: the authorization server that issues tokens (RFC 8414) and the protected resource that accepts them
 * (RFC 9728). Both are this broker. People sign in at the identity providers that `/.well-known/countersign` names, so
 * there is no authorization endpoint or device flow (RFC 8628) here.
 */
export const metadataRoutes = [
  route({
    name: 'getAuthorizationServer',
    operation: null,
    method: 'GET',
    path: '/.well-known/oauth-authorization-server',
    summary: 'the metadata of the authorization server (RFC 8414)',
    caller: null,
    outcomes: PUBLIC,
    query: anyQuery,
    success: 200,
    answer: authorizationServerSchema,
    handle: async ({ issuer }) => ({ body: authorizationServer(issuer), headers: PUBLISHED }),
  }),
  route({
    name: 'getProtectedResource',
    operation: null,
    method: 'GET',
    path: '/.well-known/oauth-protected-resource',
    summary: 'the metadata of the protected resource (RFC 9728)',
    caller: null,
    outcomes: PUBLIC,
    query: anyQuery,
    success: 200,
    answer: protectedResourceSchema,
    handle: async ({ issuer }) => ({ body: protectedResource(issuer), headers: PUBLISHED }),
  }),
];

function authorizationServer(issuer: string): z.infer<typeof authorizationServerSchema> {
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

function protectedResource(issuer: string): z.infer<typeof protectedResourceSchema> {
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
