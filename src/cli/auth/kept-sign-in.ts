import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import type { Io } from '../io.ts';
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
