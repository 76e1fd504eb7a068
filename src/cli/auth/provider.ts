import * as client from 'openid-client';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { isFetchable } from '../../issuers/issuers.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { ANSWER_TIMEOUT_MS, networkMeaning } from '../unreachable.ts';
import type { ProofKey } from './dpop.ts';

/** The client of the command line at a provider. */
export type ProviderClient = Pick<LoginIssuer, 'issuer' | 'client_id'> & {
  /** For providers that demand one of native clients. Everybody can read it. RFC 8252 section 8.5 */
  client_secret?: string | undefined;
};

/** The algorithm of proofs to a provider. */
const PROOF_ALGORITHM = 'ES256';

/** Reads the provider's metadata. @throws Error when it cannot be reached, or is not the issuer */
export async function discover(
  io: Pick<Io, 'fetch'>,
  { issuer, client_id, client_secret }: ProviderClient,
): Promise<client.Configuration> {
  if (!isFetchable(issuer, true)) throw new Error('its address is neither https nor a loopback address');
  const isPlain = new URL(issuer).protocol === 'http:';
  const authentication = client_secret === undefined ? client.None() : client.ClientSecretPost(client_secret);
  return client.discovery(new URL(issuer), client_id, undefined, authentication, {
    execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
    timeout: ANSWER_TIMEOUT_MS / 1000,
    [client.customFetch]: (url, { body, ...options }) =>
      io.fetch(url, {
        ...options,
        ...(body === undefined || body === null ? {} : { body: body as NonNullable<RequestInit['body']> }),
      }),
  });
}

/** Whether the provider binds tokens to a key. RFC 9449 section 5.1 */
export function bindsTokens(config: client.Configuration): boolean {
  const { dpop_signing_alg_values_supported } = config.serverMetadata();
  return dpop_signing_alg_values_supported?.includes(PROOF_ALGORITHM) === true;
}

/** The option that adds a proof of the key to each request; none for a null key. */
export async function proofsOf(
  config: client.Configuration,
  key: ProofKey | null,
): Promise<client.DPoPOptions> {
  if (key === null) return {};
  const { d: _, ...publicKey } = key;
  const algorithm = { name: 'ECDSA', namedCurve: key.crv };
  const pair = {
    privateKey: await crypto.subtle.importKey('jwk', key, algorithm, false, ['sign']),
    publicKey: await crypto.subtle.importKey('jwk', publicKey, algorithm, true, ['verify']),
  };
  return { DPoP: client.getDPoPHandle(config, pair) };
}

/** Turns a failure of the exchange with the provider into a CliError with its cause. */
export async function explain<T>({ issuer }: ProviderClient, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CliError) throw error;
    const isRefused =
      error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError;
    const said = isRefused
      ? `${error.error} ${error.error_description ?? ''}`.trim()
      : `${networkMeaning(error) ?? (error as Error).message}${clockHint(error)}`;
    throw new CliError(
      isRefused ? EXIT.signIn : EXIT.error,
      {
        code: 'sign_in_failed',
        title: 'You are not signed in',
        detail: `The sign-in at ${issuer} failed: ${said}`,
      },
      { cause: error },
    );
  }
}

/** A token that is not valid yet, or no more, the moment it comes. */
function clockHint(error: unknown): string {
  const { code } = error as { code?: unknown };
  return code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED' ? '. Check the clock of this machine' : '';
}
