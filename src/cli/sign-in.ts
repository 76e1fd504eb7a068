import * as client from 'openid-client';
import type { LoginIssuer } from '../identity/discovery-routes.ts';
import { isFetchable } from '../identity/issuers.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';
import { openLoopback } from './loopback.ts';
import { printable } from './text.ts';

/** How long a person has to sign in, in milliseconds. */
const PATIENCE_MS = 10 * 60_000;
/** How old the sign-in may be when a stronger one is asked for, in seconds. */
const STEP_UP_AGE_S = 300;

/** What a sign-in yields. */
export interface SignedIn {
  id_token: string;
  /** The account at the issuer. */
  sub: string;
  /** The `acr` that the issuer gives the sign-in, or null. */
  acr: string | null;
  expires_ms: number;
}

/** How to sign in. */
export interface SignInOrder {
  issuer: LoginIssuer;
  /** Asks for a new sign-in, with one of these `acr` values where there are any; null takes any sign-in. */
  stepUp: { acrValues: readonly string[] } | null;
  /** False leaves opening the address to the person. */
  openBrowser: boolean;
  /** Tells the person what to do. */
  note(line: string): void;
}

/**
 * Signs a person in with the code flow and PKCE; the answer comes to a port of this machine.
 *
 * @throws CliError when the provider cannot be reached, refuses, or nobody signs in in time
 * @see RFC 8252, RFC 7636, OpenID Connect Core 3.1
 */
export async function signInWithBrowser(io: Io, order: SignInOrder): Promise<SignedIn> {
  return explain(order.issuer, async () => {
    const config = await discover(io, order.issuer);
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const nonce = client.randomNonce();
    const loopback = await openLoopback(state);
    try {
      const url = client.buildAuthorizationUrl(config, {
        ...parametersOf(order),
        redirect_uri: loopback.redirectUri,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      order.note(`Sign in with your browser at\n\n${url.href}\n`);
      if (order.openBrowser) io.openBrowser(url);
      const callback = await within(io, loopback.callback);
      const tokens = await client.authorizationCodeGrant(config, callback, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
        ...(order.stepUp === null ? {} : { maxAge: STEP_UP_AGE_S }),
      });
      return signedIn(tokens);
    } finally {
      loopback.close();
    }
  });
}

/**
 * Signs a person in on another device: they open an address there and type a code.
 *
 * @throws CliError as {@link signInWithBrowser}
 * @see RFC 8628
 */
export async function signInWithDevice(io: Io, order: SignInOrder): Promise<SignedIn> {
  return explain(order.issuer, async () => {
    const config = await discover(io, order.issuer);
    const device = await client.initiateDeviceAuthorization(config, parametersOf(order));
    order.note(
      `Open ${printable(device.verification_uri)} and enter the code ${printable(device.user_code)}`,
    );
    const tokens = await client.pollDeviceAuthorizationGrant(config, device, undefined, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return signedIn(tokens);
  });
}

async function discover(io: Io, { issuer, client_id }: LoginIssuer): Promise<client.Configuration> {
  if (!isFetchable(issuer, true)) throw new Error('its address is neither https nor on this machine');
  const isPlain = new URL(issuer).protocol === 'http:';
  return client.discovery(new URL(issuer), client_id, undefined, client.None(), {
    execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
    [client.customFetch]: (url, { body, ...options }) =>
      io.fetch(url, {
        ...options,
        ...(body === undefined || body === null ? {} : { body: body as NonNullable<RequestInit['body']> }),
      }),
  });
}

function parametersOf({ issuer, stepUp }: SignInOrder): Record<string, string> {
  if (stepUp === null) return { scope: issuer.scope };
  const { acrValues } = stepUp;
  return {
    scope: issuer.scope,
    // `max_age` makes the provider say when the sign-in was; `prompt` makes it a new one.
    prompt: 'login',
    max_age: String(STEP_UP_AGE_S),
    ...(acrValues.length === 0
      ? {}
      : { claims: JSON.stringify({ id_token: { acr: { essential: true, values: acrValues } } }) }),
  };
}

function signedIn(tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers): SignedIn {
  const claims = tokens.claims();
  if (tokens.id_token === undefined || claims === undefined) throw new Error('it gave no ID token');
  return {
    id_token: tokens.id_token,
    sub: claims.sub,
    acr: typeof claims.acr === 'string' ? claims.acr : null,
    expires_ms: claims.exp * 1000,
  };
}

/** The answer, unless the person's time is over before. */
async function within<T>(io: Io, answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const timeout = io.sleep(PATIENCE_MS, over.signal).then(() => {
    throw new Error('nobody signed in in time');
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    over.abort();
    // It ends with the abort, after the race is over.
    timeout.catch(() => undefined);
  }
}

/** Turns what went wrong between here and the provider into a refusal that says so. */
async function explain<T>({ issuer }: LoginIssuer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const refused =
      error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError;
    const said = refused
      ? `${error.error} ${error.error_description ?? ''}`.trim()
      : (error as Error).message;
    throw new CliError(
      refused ? EXIT.denied : EXIT.error,
      {
        code: 'sign_in_failed',
        title: 'You are not signed in',
        detail: `The sign-in at ${issuer} did not succeed: ${said}`,
      },
      { cause: error },
    );
  }
}
