import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { GOVERNED_READ, noContent, PUBLIC } from '../http/route.ts';
import { tokenOfForm } from './form-parameters.ts';
import { introspect, introspectionSchema } from './introspect.ts';
import type { TokenStatusDeps } from './live-token.ts';
import { oauth } from './oauth-routes.ts';
import { surrenderToken } from './surrender.ts';

/** @see RFC 7662 section 2.1, RFC 7009 section 2.1 */
const tokenFormSchema = z
  .looseObject({
    token: z.string().min(1),
    token_type_hint: z.string().optional().meta({ description: 'Ignored: every token says what it is.' }),
  })
  .meta({ id: 'TokenForm' });

const { route } = routesFor<TokenStatusDeps>({ tag: 'Tokens', format: 'oauth', since: '1.0' });

/**
 * Introspection (RFC 7662) and revocation (RFC 7009). Introspection authenticates its caller like any other route.
 * Revocation does not, because possession of the token is sufficient.
 */
export const tokenStatusRoutes = [
  route({
    ...oauth,
    name: 'introspectToken',
    operation: 'token.introspect',
    path: '/oauth/introspect',
    summary: 'the present state of a token (RFC 7662)',
    caller: 'any',
    // A POST, so a session counts only on pages of this origin.
    outcomes: { ...GOVERNED_READ, foreign_origin: 'refused' },
    body: tokenFormSchema,
    answer: introspectionSchema,
    handle: async (deps, { call, body }) => ({ body: await introspect(deps, call, tokenOfForm(body)) }),
  }),
  route({
    ...oauth,
    name: 'revokeToken',
    operation: 'token.revoke',
    path: '/oauth/revoke',
    summary: 'revoke a token that you hold (RFC 7009)',
    caller: null,
    // Possession is sufficient, and no policy keeps a surrendered token alive. Other texts revoke nothing, with the same
    // answer (RFC 7009 section 2.2).
    outcomes: { ...PUBLIC, no_token: 'refused', unwritable: 'refused' },
    body: tokenFormSchema,
    answer: noContent,
    errors: ['issuer_unavailable'],
    handle: async (deps, { body, request }) => {
      await surrenderToken(deps, tokenOfForm(body), request.ids);
      return { body: undefined };
    },
  }),
];
