import { BrokerError } from '../errors.ts';
import type { Caller } from '../identity/credential.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import type { SessionsTable, SignInsTable } from '../store/schema.ts';

/** The requirements for a sign-in. */
type WantedSignIn = Pick<SignInsTable, 'level' | 'max_age_s'>;

/**
 * Checks the sign-in against the requirements. A provider may ignore what the request asked for.
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
      `${issuer} signed you in at level ${principal.auth.level}, but level ${level} is required. Sign in again with a second factor, or ask the administrator of the provider to require one. Your session is unchanged.`,
    );
  }
  if (max_age_s === null || isFresh(principal.auth.auth_time_ms, max_age_s, nowMs)) return;
  throw new BrokerError(
    'sign_in_required',
    `${issuer} did not confirm a sign-in within the last ${max_age_s} seconds. Sign in again there. Your session is unchanged.`,
  );
}

/** A sign-in time in the future would stay fresh indefinitely. */
function isFresh(authTimeMs: number | null, maxAgeS: number, nowMs: number): boolean {
  if (authTimeMs === null) return false;
  const ageMs = nowMs - authTimeMs;
  return ageMs >= -LEEWAY_S * 1000 && ageMs <= (maxAgeS + LEEWAY_S) * 1000;
}

/**
 * A step-up must be by the same principal. Otherwise another user of the provider would continue the session of the
 * first, possibly without noticing.
 *
 * @param former the browser's current session, if still open
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
    `You signed in as ${principal.id}, but this browser is signed in as ${former.principal_id}. Sign in again as ${former.principal_id}, or sign out on your account page first. Your session is unchanged.`,
  );
}
