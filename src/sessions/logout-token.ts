import { jwtVerify } from 'jose';
import type { Clock } from '../clock.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { algorithmRefused, mediaTypeOf, parseTokenForm, typeRefused } from '../identity/token-form.ts';
import { tokenIdOf } from '../identity/token-id.ts';
import { assertLifetime, LEEWAY_S, refusalOf } from '../identity/verify-token.ts';
import type { KeySets } from '../issuers/key-sets.ts';
import type { WebIssuer } from './providers.ts';

/** The maximum age of a logout token, in seconds. */
export const MAX_LOGOUT_TOKEN_AGE_S = 120;

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** What {@link verifyLogoutToken} needs. */
export interface LogoutTokenDeps {
  issuers: readonly WebIssuer[];
  keySets: KeySets;
  clock: Clock;
}

/**
 * A provider's statement that one session, or all sessions of a user, ended there. At least one of `sid` and `sub` is
 * present.
 */
export interface LogoutToken {
  issuer: WebIssuer;
  sid: string | null;
  sub: string | null;
  /** Identifies this token, which works once. */
  token_id: string;
  issued_ms: number;
}

/**
 * Verifies a logout token against the exact issuer, its keys and algorithms, and the broker's own client there. `nonce`
 * is forbidden and `events` required, so that a validly signed ID token is not accepted as a logout token, or the
 * reverse.
 *
 * @throws TokenRefused with the reason for the log
 * @throws BrokerError `issuer_unavailable`
 * @see OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6
 */
export async function verifyLogoutToken(deps: LogoutTokenDeps, token: string): Promise<LogoutToken> {
  const form = parseTokenForm(token);
  const issuer = deps.issuers.find((candidate) => candidate.issuer === form.unverified.iss);
  if (issuer === undefined) throw new TokenRefused('issuer_not_accepted');
  if (!isLogoutType(issuer, form.header.typ)) throw typeRefused(form.header.typ);
  if (!issuer.algorithms.some((algorithm) => algorithm === form.header.alg)) {
    throw algorithmRefused(form.header.alg);
  }
  const claims = await verifySignature(deps, issuer, token);
  if (claims.aud !== issuer.web.client_id && !isListOf(claims.aud, issuer.web.client_id)) {
    throw new TokenRefused('audience_not_accepted');
  }
  if (Object.hasOwn(claims, 'nonce')) throw new TokenRefused('claim_not_accepted', 'nonce');
  if (!isLogoutEvent(claims.events)) throw new TokenRefused('claim_shape', 'events');
  const sid = nameIn(claims, 'sid');
  const sub = nameIn(claims, 'sub');
  if (sid === null && sub === null) throw new TokenRefused('claim_shape', 'sub');
  return {
    issuer,
    sid,
    sub,
    token_id: tokenIdOf(claims, form.signingInput),
    issued_ms: Math.floor(Number(claims.iat) * 1000),
  };
}

type Claims = Readonly<Record<string, unknown>>;

async function verifySignature(deps: LogoutTokenDeps, issuer: WebIssuer, token: string): Promise<Claims> {
  try {
    const { payload } = await jwtVerify(token, deps.keySets.keysOf(issuer), {
      issuer: issuer.issuer,
      audience: issuer.web.client_id,
      algorithms: [...issuer.algorithms],
      requiredClaims: ['iat', 'exp', 'jti', 'events'],
      maxTokenAge: MAX_LOGOUT_TOKEN_AGE_S,
      clockTolerance: LEEWAY_S,
      currentDate: new Date(deps.clock()),
    });
    assertLifetime(payload);
    return payload;
  } catch (error) {
    throw refusalOf(error);
  }
}

/** Older providers send no type, or `JWT`. These are accepted only if configured. */
function isLogoutType({ web }: WebIssuer, typ: string | undefined): boolean {
  const type = typ === undefined ? undefined : mediaTypeOf(typ);
  if (type === 'logout+jwt') return true;
  return web.allow_untyped_logout_token && (type === undefined || type === 'jwt');
}

function isListOf(value: unknown, only: string): boolean {
  return Array.isArray(value) && value.length === 1 && value[0] === only;
}

function isLogoutEvent(events: unknown): boolean {
  if (!isObject(events) || !Object.hasOwn(events, LOGOUT_EVENT)) return false;
  return isObject(events[LOGOUT_EVENT]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The maximum length of `sid` or `sub`. Together with the issuer it must fit the value of a revocation. */
const MAX_NAME = 400;

function nameIn(claims: Claims, claim: 'sid' | 'sub'): string | null {
  if (!Object.hasOwn(claims, claim)) return null;
  const value = claims[claim];
  if (typeof value !== 'string' || value === '' || value.length > MAX_NAME || /\p{Cc}/u.test(value)) {
    throw new TokenRefused('claim_shape', claim);
  }
  return value;
}
