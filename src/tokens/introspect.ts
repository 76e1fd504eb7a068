import { z } from 'zod';
import type { Call } from '../decide/control.ts';
import { authorizeRead } from '../decide/read.ts';
import type { ExaminedToken } from '../identity/authenticate.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm } from '../identity/token-form.ts';
import { tokenIdOf } from '../identity/token-id.ts';
import { liveToken, type TokenStatusDeps } from './live-token.ts';

const seconds = z.number();

/** Claims that are returned unchanged if present. */
const shownClaims = {
  scope: z.unknown().optional().meta({
    description: 'The `scope` claim. In tokens of the broker: operation names separated by single spaces.',
  }),
  jti: z.string().optional(),
  nbf: seconds.optional(),
  acr: z.string().optional(),
  auth_time: seconds.optional(),
  act: z
    .object({ sub: z.string(), act: z.unknown().optional() })
    .optional()
    .meta({ description: 'The acting agent; previous actors are nested in `act`. RFC 8693 section 4.1' }),
  may_act: z
    .object({ iss: z.string(), sub: z.string() })
    .optional()
    .meta({ description: 'Of a delegation token: the agent. RFC 8693 section 4.4' }),
  cnf: z
    .object({ jkt: z.string() })
    .optional()
    .meta({ description: 'The thumbprint of the key that the token is bound to. RFC 9449 section 6.1' }),
};
const SHOWN_CLAIMS = Object.keys(shownClaims);

/** The introspection response for a token. @see RFC 7662 section 2.2, RFC 9449 section 6.2, RFC 9470 section 6.2 */
export const introspectionSchema = z
  .discriminatedUnion('active', [
    z.object({ active: z.literal(false) }),
    z.object({
      active: z.literal(true),
      token_type: z
        .enum(['Bearer', 'DPoP', 'N_A'])
        .meta({ description: '`N_A` for a delegation token, which is no access token.' }),
      client_id: z.string(),
      iss: z.string(),
      sub: z.string(),
      aud: z.union([z.string(), z.array(z.string())]),
      exp: seconds,
      iat: seconds,
      ...shownClaims,
      trust_rule: z.string().optional(),
    }),
  ])
  .meta({ id: 'Introspection' });
export type Introspection = z.infer<typeof introspectionSchema>;

/**
 * Introspects a token. A caller may always introspect its own token. For any other token, policy decides first
 * (`token.introspect`).
 *
 * @throws BrokerError `policy_denied`, `issuer_unavailable`
 */
export async function introspect(deps: TokenStatusDeps, call: Call, token: string): Promise<Introspection> {
  // Decided before the token is inspected. An unauthorized caller learns nothing and causes no fetch of keys.
  if (!isShownBy(call, token)) await authorizeRead(deps.control, call, { operation: 'token.introspect' });
  const live = await liveToken(deps, token);
  return live === null ? { active: false } : describe(live);
}

/** Whether the token claims to be the caller's own. A false claim fails verification later. */
function isShownBy({ credential }: Call, token: string): boolean {
  try {
    const { unverified, signingInput } = parseTokenForm(token);
    return (
      credential?.issuer === unverified.iss && credential?.token_id === tokenIdOf(unverified, signingInput)
    );
  } catch (error) {
    if (error instanceof TokenRefused) return false;
    throw error;
  }
}

function describe({ claims, principal, jkt }: ExaminedToken): Introspection {
  const { iss, sub, aud, exp, iat } = claims;
  const shown = SHOWN_CLAIMS.filter((name) => Object.hasOwn(claims, name));
  const { trust_rule } = principal.token;
  return {
    active: true,
    token_type: typeOf(claims, jkt),
    client_id: clientOf(claims),
    iss,
    sub,
    aud,
    exp,
    iat,
    ...Object.fromEntries(shown.map((name) => [name, claims[name]])),
    ...(trust_rule === null ? {} : { trust_rule }),
  };
}

/** A delegation token is not an access token, and must not be taken for one. RFC 8693 section 2.2.1 */
function typeOf(claims: ExaminedToken['claims'], jkt: string | null): 'Bearer' | 'DPoP' | 'N_A' {
  if (Object.hasOwn(claims, 'may_act')) return 'N_A';
  return jkt === null ? 'Bearer' : 'DPoP';
}

/**
 * The client that the token was issued to. An ID token names it in `azp`, or as its only audience. OpenID Connect Core
 * section 2
 */
function clientOf({ client_id, azp, aud }: ExaminedToken['claims']): string {
  return String(client_id ?? azp ?? (typeof aud === 'string' ? aud : aud[0]));
}
