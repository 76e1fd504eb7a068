import { BrokerError } from '../errors.ts';
import type { Caller } from '../identity/credential.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import type { SessionsTable, SignInsTable } from '../store/schema.ts';

/** What a sign-in was to be. */
type WantedSignIn = Pick<SignInsTable, 'level' | 'max_age_s'>;

/**
 * What was asked for is only a wish to the provider, so it is held against what it answers.
 *
 * @throws BrokerError `sign_in_required`
 * @see RFC 9470 section 5
 */
export function assertStrongEnough(
  { principal }: Caller,
  { level, max_age_s }: WantedSignIn,
  { issuer, nowMs }: { issuer: string; nowMs: number },
): void {
  if (level !== null && principal.auth.level < level) {
    throw new BrokerError(
      'sign_in_required',
      `${issuer} signed you in at level ${principal.auth.level}; level ${level} is needed. Sign in again with a second factor, or ask who runs the provider to require it. Your session is as it was.`,
    );
  }
  if (max_age_s === null || isFresh(principal.auth.auth_time_ms, max_age_s, nowMs)) return;
  throw new BrokerError(
    'sign_in_required',
    `${issuer} does not say that you signed in within the last ${max_age_s} seconds. Sign in again there. Your session is as it was.`,
  );
}

/** A sign-in in the future would stay fresh for as long as somebody likes. */
function isFresh(authTimeMs: number | null, maxAgeS: number, nowMs: number): boolean {
  if (authTimeMs === null) return false;
  const ageMs = nowMs - authTimeMs;
  return ageMs >= -LEEWAY_S * 1000 && ageMs <= (maxAgeS + LEEWAY_S) * 1000;
}

/**
 * Whoever signs in stronger or fresher goes on with what they began; somebody else at the provider would go on with it in
 * their stead, and might not notice.
 *
 * @param former the session that the browser has so far, if it goes on
 * @throws BrokerError `sign_in_failed`
 */
export function assertSamePerson(
  { principal }: Caller,
  { level, max_age_s }: WantedSignIn,
  former: SessionsTable | undefined,
): void {
  if (former === undefined || (level === null && max_age_s === null)) return;
  if (former.principal_id === principal.id) return;
  if (former.person !== null && former.person === principal.person) return;
  throw new BrokerError(
    'sign_in_failed',
    `You signed in as ${principal.id}, but this browser is signed in as ${former.principal_id}, and that is who was asked to sign in again. Do so as ${former.principal_id}, or sign out on your account page first. Your session is as it was.`,
  );
}
