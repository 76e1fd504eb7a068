import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { networkMeaning } from '../unreachable.ts';
import type { Credentials, KeptSignIn } from './credentials.ts';
import { discover, explain, proofsOf } from './provider.ts';
import { readTokens } from './sign-in.ts';

/** What {@link renewSignIn} needs. */
export interface RenewDeps {
  io: Pick<Io, 'fetch' | 'clock'>;
  broker: string;
  credentials: Credentials;
  /** Tells the person something. */
  note(line: string): void;
}

/**
 * Renews the stored sign-in with its refresh token, and stores the result. Of several commands at the same time, in
 * whatever shells, one asks the provider, and the others use what it got: a rotating token works only once.
 *
 * The renewed sign-in keeps its original time: it is as old as before, and a command that requires a recent one still
 * asks for it.
 *
 * @param kept the sign-in that has expired
 * @returns the sign-in to use
 * @throws CliError `sign_in_expired` when the provider has ended the sign-in, or it has nothing that renews it; `provider_unreachable`
 * @see RFC 9700 section 4.14, OpenID Connect Core 12
 */
export async function renewSignIn(deps: RenewDeps, kept: KeptSignIn): Promise<KeptSignIn> {
  const { io, broker, credentials } = deps;
  assertNotEnded(io, broker, kept);
  if (kept.refresh === undefined) throw signInExpired(broker, '');
  return credentials.exclusively(broker, async () => {
    const { sign_in: present } = await credentials.load(broker);
    if (present === undefined) throw signInExpired(broker, 'Somebody has signed out. ');
    // Another command was faster, or the person has signed in again.
    if (present.id_token !== kept.id_token && present.expires_ms > io.clock()) return present;
    assertNotEnded(io, broker, present);
    return renew(deps, present);
  });
}

async function renew(deps: RenewDeps, kept: KeptSignIn): Promise<KeptSignIn> {
  const { io, broker, credentials } = deps;
  const { refresh } = kept;
  if (refresh === undefined) throw signInExpired(broker, '');
  const { provider, token, key } = refresh;
  const config = await reach(provider.issuer, () => discover(io, provider));
  const answer = await client
    .refreshTokenGrant(config, token, undefined, await proofsOf(config, key))
    .catch(async (error: unknown) => {
      if (!(error instanceof client.ResponseBodyError) || error.error !== 'invalid_grant') {
        throw reachFault(provider.issuer, error);
      }
      await replace(credentials, broker, kept, withoutRefresh(kept));
      throw signInExpired(broker, `The provider has ended it (${said(error)}). `, error);
    });
  const renewed = await explain(provider, async () => {
    const tokens = readTokens(io, answer, key);
    assertSameSignIn(kept, tokens.id_token);
    return tokens;
  });
  const rotated = renewed.refresh;
  const isLasting = rotated !== null && (rotated.token !== token || rotated.key !== null);
  const isBound = rotated === null && key !== null;
  const next: KeptSignIn = {
    ...withoutRefresh(kept),
    id_token: renewed.id_token,
    expires_ms: renewed.expires_ms,
    ...(isLasting || isBound ? { refresh: { provider, token: rotated?.token ?? token, key } } : {}),
  };
  if (next.refresh === undefined) {
    deps.note(NOT_ROTATED);
    await revokeRefreshToken(io, kept);
  }
  if (await replace(credentials, broker, kept, next)) return next;
  // Somebody signed out, or in again, meanwhile: what came must not outlive that.
  await revokeRefreshToken(io, next);
  const { sign_in } = await credentials.load(broker);
  if (sign_in === undefined) throw signInExpired(broker, 'Somebody has signed out. ');
  return sign_in;
}

/** A copy of such a token would work for as long as the sign-in, and nobody would notice. */
const NOT_ROTATED =
  'The provider gives refresh tokens that neither change nor are bound to a key, so this one is not used again. Sign in again when the sign-in expires.';

/** Ends the sign-in at the provider. Does nothing where there is nothing to end, or no way to. RFC 7009 */
export async function revokeRefreshToken(
  io: Pick<Io, 'fetch'>,
  { refresh }: Pick<KeptSignIn, 'refresh'>,
): Promise<void> {
  if (refresh === undefined) return;
  const { provider, token } = refresh;
  const config = await reach(provider.issuer, () => discover(io, provider));
  if (config.serverMetadata().revocation_endpoint === undefined) return;
  await reach(provider.issuer, () =>
    client.tokenRevocation(config, token, { token_type_hint: 'refresh_token' }),
  );
}

/** Stores the sign-in in place of the one that was used, if that is still there. */
async function replace(
  credentials: Credentials,
  broker: string,
  used: KeptSignIn,
  next: KeptSignIn,
): Promise<boolean> {
  let isReplaced = false;
  await credentials.update(broker, (stored) => {
    isReplaced = stored.sign_in?.refresh?.token === used.refresh?.token && stored.sign_in !== undefined;
    return isReplaced ? { ...stored, sign_in: next } : stored;
  });
  return isReplaced;
}

function withoutRefresh({ refresh: _, ...others }: KeptSignIn): KeptSignIn {
  return others;
}

/**
 * Checks that a renewed ID token is of the same sign-in. One that claims another time would make an old sign-in look
 * recent.
 *
 * @throws Error
 * @see OpenID Connect Core 12.2
 */
function assertSameSignIn(kept: KeptSignIn, idToken: string): void {
  const [before, after] = [decodeJwt(kept.id_token), decodeJwt(idToken)];
  const signedInMs = kept.auth_time_ms ?? null;
  for (const claim of ['iss', 'sub', 'aud', 'azp'] as const) {
    if (JSON.stringify(before[claim]) !== JSON.stringify(after[claim])) {
      throw new Error(`its renewed ID token has another ${claim}`);
    }
  }
  if (after.auth_time !== undefined && Number(after.auth_time) * 1000 !== signedInMs) {
    throw new Error('its renewed ID token names another time of sign-in');
  }
}

/** @throws CliError when policy has ended the sign-in */
export function assertNotEnded({ clock }: Pick<Io, 'clock'>, broker: string, { ends_ms }: KeptSignIn): void {
  if (typeof ends_ms === 'number' && ends_ms <= clock())
    throw signInExpired(broker, 'The policy accepts it no longer. ');
}

/** The error for a sign-in that has ended. @param why a sentence with a space after it, or nothing */
export function signInExpired(broker: string, why: string, cause?: unknown): CliError {
  return new CliError(
    EXIT.signIn,
    {
      code: 'sign_in_expired',
      title: 'The sign-in has expired',
      detail: `${why}Sign in to ${broker} again.`,
    },
    { cause, login: [] },
  );
}

async function reach<T>(issuer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw reachFault(issuer, error);
  }
}

/** The sign-in may still be good: the provider did not answer, or not as it should. */
function reachFault(issuer: string, error: unknown): CliError {
  const why =
    error instanceof client.ResponseBodyError
      ? said(error)
      : (networkMeaning(error) ?? (error as Error).message);
  return new CliError(
    EXIT.error,
    {
      code: 'provider_unreachable',
      title: 'The identity provider did not respond',
      detail: `The sign-in has to be renewed, and ${issuer} did not do so: ${why}. Try again, or sign in again.`,
    },
    { transient: true, cause: error, login: [] },
  );
}

function said({ error, error_description }: client.ResponseBodyError): string {
  return printable([error, error_description ?? ''].join(' ').trim()).slice(0, 300);
}
