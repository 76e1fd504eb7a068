import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { TokenRefused } from './refusal.ts';
import { algorithmRefused, type TokenForm } from './token-form.ts';

/** The clock leeway for `exp`, `nbf` and `iat`, in seconds. */
export const LEEWAY_S = 30;

/** The maximum lifetime and age, in seconds. */
export const MAX_TOKEN_AGE_S = 24 * 60 * 60;

/** Claims whose signature, issuer and times have been verified. */
export interface VerifiedClaims {
  readonly [claim: string]: unknown;
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | string[];
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly iat: number;
}

/**
 * Refuses a token that claims to live for longer than any is believed, such as 30 days. It would outlive what its
 * issuer knows of the person or the job.
 *
 * @throws TokenRefused `claim_not_accepted`
 */
export function assertLifetime({ iat, exp }: { iat?: unknown; exp?: unknown }): void {
  if (Number(exp) - Number(iat) > MAX_TOKEN_AGE_S)
    throw new TokenRefused('claim_not_accepted', 'exp too late');
}

/** The expectations for a token. Nothing here comes from the token. */
export interface Expectation {
  /** The exact `iss`. */
  issuer: string;
  /** Whether the keys alone identify the issuer, whatever `iss` the token has: a SPIFFE trust domain. Default: no. */
  isNamedByKeys?: boolean;
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
  clock: Clock;
  /** Whether the token may be bound to a key (`cnf`). Allow it only where the caller checks the proof. Default: no. */
  mayBeBound?: boolean;
}

/**
 * Verifies signature, issuer and times, and the types of the claims that every profile requires. The caller checks the
 * audience, because the rules differ by profile. The algorithm is checked before any key is requested.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 * @see RFC 8725 section 3
 */
export async function verifyToken(
  token: string,
  form: TokenForm,
  expected: Expectation,
): Promise<VerifiedClaims> {
  if (!expected.algorithms.includes(form.header.alg)) throw algorithmRefused(form.header.alg);
  // Both are refused before a fetch, because no key could make them acceptable.
  if (Object.hasOwn(form.unverified, 'events')) throw new TokenRefused('logout_token');
  if (!expected.mayBeBound && Object.hasOwn(form.unverified, 'cnf'))
    throw new TokenRefused('sender_constrained');
  try {
    const { payload } = await jwtVerify(token, expected.keys, {
      ...(expected.isNamedByKeys ? {} : { issuer: expected.issuer }),
      algorithms: [...expected.algorithms],
      requiredClaims: ['exp', 'iat', 'sub', 'aud'],
      clockTolerance: LEEWAY_S,
      maxTokenAge: MAX_TOKEN_AGE_S,
      currentDate: new Date(expected.clock()),
    });
    // The same bytes, but without rounded numbers, which could equal another claim. Times may be rounded.
    const { exp, iat } = payload;
    const claims = checkTypes({ ...form.unverified, exp, iat, iss: expected.issuer });
    assertLifetime(claims);
    return claims;
  } catch (error) {
    throw refusalOf(error);
  }
}

/** The claims that every profile requires, with their types. @throws TokenRefused `claim_shape` */
export function checkTypes(payload: Readonly<Record<string, unknown>> & { iss: string }): VerifiedClaims {
  const { iss, sub, aud, exp, iat } = payload;
  if (typeof sub !== 'string' || sub === '' || sub.length > 400 || /\p{Cc}/u.test(sub)) {
    throw new TokenRefused('claim_shape', 'sub');
  }
  if (!isTime(exp)) throw new TokenRefused('claim_shape', 'exp');
  if (!isTime(iat)) throw new TokenRefused('claim_shape', 'iat');
  if (typeof aud !== 'string' && !isStringList(aud)) throw new TokenRefused('claim_shape', 'aud');
  return { ...payload, iss, sub, aud, exp, iat };
}

/** Seconds that are exact in milliseconds, fractions allowed. RFC 7519 section 2, NumericDate. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < 1e11;
}

/** True for an array of strings. */
export function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((member) => typeof member === 'string');
}

/** Maps an error of jose to a refusal; refusals and problems pass through. */
export function refusalOf(error: unknown): unknown {
  if (error instanceof TokenRefused || error instanceof BrokerError) return error;
  if (error instanceof errors.JWTExpired) return new TokenRefused('expired', error.claim, error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    return new TokenRefused(
      'claim_not_accepted',
      reason === 'check_failed' ? claim : `${claim} ${reason}`,
      error,
    );
  }
  // For any other error of jose or the key import, the token counts as not verified.
  return new TokenRefused('signature_invalid', undefined, error);
}
