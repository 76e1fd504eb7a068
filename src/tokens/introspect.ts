import type { Call } from '../decide/control.ts';
import { authorizeRead } from '../decide/read.ts';
import type { ExaminedToken } from '../identity/authenticate.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm } from '../identity/token-form.ts';
import { tokenIdOf } from '../identity/token-id.ts';
import { liveToken, type TokenStatusDeps } from './live-token.ts';

/** The introspection response for a token. @see RFC 7662 section 2.2, RFC 9449 section 6.2, RFC 9470 section 6.2 */
export type Introspection = { active: false } | ({ active: true } & Record<string, unknown>);

/** Claims that are returned unchanged if present. */
const SHOWN_CLAIMS = ['scope', 'jti', 'nbf', 'acr', 'auth_time', 'act', 'may_act', 'cnf'];

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
function clientOf({ client_id, azp, aud }: ExaminedToken['claims']): unknown {
  return client_id ?? azp ?? (typeof aud === 'string' ? aud : aud[0]);
}
