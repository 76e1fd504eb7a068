import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import type { Io } from '../io.ts';
import { moment } from '../output/text.ts';
import type { KeptSignIn } from './credentials.ts';
import type { SignInResult } from './sign-in.ts';

/** A sign-in in the form in which it is stored. */
export function toKept(
  { clock }: Pick<Io, 'clock'>,
  { issuer, flow, signedIn }: { issuer: LoginIssuer; flow: KeptSignIn['flow']; signedIn: SignInResult },
): KeptSignIn {
  const { id_token, expires_ms, auth_time_ms, refresh } = signedIn;
  const { key, issuer: url, client_id, client_secret, max_age_s } = issuer;
  return {
    issuer: key,
    id_token,
    expires_ms,
    flow,
    auth_time_ms,
    ends_ms: max_age_s === undefined ? null : (auth_time_ms ?? clock()) + max_age_s * 1000,
    ...(refresh && {
      refresh: {
        ...refresh,
        provider: { issuer: url, client_id, ...(client_secret === undefined ? {} : { client_secret }) },
      },
    }),
  };
}

/** Until when a stored sign-in works. */
export interface SignInEnd {
  /** When its present token ends. */
  expires_ms: number;
  /** Whether commands renew that. */
  renews: boolean;
  /** When policy ends the sign-in, however often it is renewed; null without a limit. */
  ends_ms: number | null;
}

/** Until when a stored sign-in works. */
export function endOf({ expires_ms, refresh, ends_ms = null }: KeptSignIn): SignInEnd {
  return { expires_ms, renews: refresh !== undefined, ends_ms };
}

/** The same for people. */
export function lastsUntil({ expires_ms, renews, ends_ms }: SignInEnd): string {
  if (!renews) return `until ${moment(expires_ms)}`;
  return ends_ms === null
    ? 'until the provider ends it; commands renew it'
    : `until ${moment(ends_ms)}; commands renew it`;
}
