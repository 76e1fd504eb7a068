import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { anyQuery, PUBLIC, PUBLISHED } from '../http/route.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { type Exchange, tokenAnswerSchema } from './exchange.ts';
import { exchangeFormSchema } from './exchange-form.ts';
import { formOf } from './form-parameters.ts';
import { oauth } from './oauth-routes.ts';

/** The dependencies of {@link tokenRoutes}. */
export interface TokenRoutesDeps {
  exchange: Exchange;
  signingKeys: Pick<SigningKeys, 'jwks'>;
}

/** A set of public keys. @see RFC 7517 section 5, RFC 8037 section 2 */
const keySetSchema = z
  .object({
    keys: z.array(
      z.object({
        kty: z.string(),
        crv: z.string(),
        x: z.string(),
        kid: z.string().meta({ description: 'The RFC 7638 thumbprint.' }),
        alg: z.string(),
        use: z.string(),
      }),
    ),
  })
  .meta({ id: 'KeySet' });

const { route } = routesFor<TokenRoutesDeps>({ tag: 'Tokens', format: 'oauth', since: '1.0' });

/** The exchange of tokens (RFC 8693), and the keys that verify what it issues. Neither requires a token of the broker. */
export const tokenRoutes = [
  route({
    ...oauth,
    name: 'exchangeToken',
    operation: 'token.exchange',
    path: '/oauth/token',
    summary:
      "exchange a platform's token (RFC 8693); with a DPoP proof, for a token bound to a key (RFC 9449)",
    caller: null,
    // The tokens in the form are the credential; headers are not.
    outcomes: {
      ...PUBLIC,
      no_token: 'refused',
      garbage: 'refused',
      no_role: 'refused',
      wrong_audience: 'refused',
      denied: 'refused',
      unwritable: 'refused',
    },
    body: exchangeFormSchema,
    answer: tokenAnswerSchema,
    errors: ['issuer_unavailable'],
    handle: async ({ exchange }, { body, request }) => ({
      body: await exchange.exchange(formOf(body), request.presented),
    }),
  }),
  route({
    name: 'getJwks',
    operation: null,
    method: 'GET',
    path: '/.well-known/jwks.json',
    summary: "the public keys of the broker's tokens",
    format: 'problem',
    caller: null,
    outcomes: PUBLIC,
    query: anyQuery,
    success: 200,
    answer: keySetSchema,
    handle: async ({ signingKeys }) => ({
      body: (await signingKeys.jwks()) as z.infer<typeof keySetSchema>,
      headers: PUBLISHED,
    }),
  }),
];
