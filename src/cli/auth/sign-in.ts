import * as client from 'openid-client';
import { assertBoundHashes } from '../../identity/token-hash.ts';
import { LEEWAY_S } from '../../identity/verify-token.ts';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { createProofKey, type ProofKey } from './dpop.ts';
import { openLoopback } from './loopback.ts';
import { bindsTokens, discover, explain, proofsOf } from './provider.ts';

/** The time limit for a sign-in, in milliseconds. */
const PATIENCE_MS = 10 * 60_000;
/** The default maximum age of a step-up sign-in, in seconds. */
export const FRESH_AGE_S = 300;

/** The result of a sign-in. */
export interface SignInResult {
  id_token: string;
  /** The account at the issuer. */
  sub: string;
  /** The `acr` of the sign-in, or null. */
  acr: string | null;
  /** When the person signed in, or null when the issuer does not say. */
  auth_time_ms: number | null;
  /** When the ID token expires, by this machine's clock. */
  expires_ms: number;
  /** What renews the sign-in, or null when the provider gave nothing that does. */
  refresh: RefreshToken | null;
}

/** A refresh token. */
export interface RefreshToken {
  token: string;
  /** The key that the provider bound it to, or null. RFC 9449 section 5 */
  key: ProofKey | null;
}

/** The requirements for a stronger sign-in. */
export interface StepUpOrder {
  /** The accepted `acr` values; an empty list accepts any. */
  acrValues: readonly string[];
  /** The maximum age in seconds. */
  maxAgeS: number;
}

/** How to sign in. */
export interface CliSignInOrder {
  issuer: LoginIssuer;
  /** The browser of this machine, or another device with a code. */
  flow: 'browser' | 'device';
  /** The option of the running command that signs in on another device. */
  deviceOption: string;
  /** Requires a new sign-in of this strength; null accepts any sign-in. */
  stepUp: StepUpOrder | null;
  /** Whether the person has to sign in again although the provider remembers them. A step-up always requires it. */
  isFresh: boolean;
  /** Whether to open the browser. If false, the person opens the address. */
  openBrowser: boolean;
  /** Tells the person what to do. */
  note(line: string): void;
}

/**
 * Signs a person in and checks the result against the requirements. A provider may ignore a requested strength.
 *
 * @throws CliError when the provider cannot be reached or refuses, when the time limit passes, or when the sign-in is
 *   not strong or fresh enough
 * @see RFC 9470 section 5
 */
export async function signIn(io: Io, order: CliSignInOrder): Promise<SignInResult> {
  const signedIn = await (order.flow === 'device' ? signInWithDevice : signInWithBrowser)(io, order);
  if (order.stepUp !== null) assertAsAskedFor(io, order.stepUp, signedIn);
  return signedIn;
}

function assertAsAskedFor({ clock }: Io, { acrValues, maxAgeS }: StepUpOrder, signedIn: SignInResult): void {
  const { acr, auth_time_ms } = signedIn;
  const isStrong = acrValues.length === 0 || (acr !== null && acrValues.includes(acr));
  const isFresh = auth_time_ms !== null && clock() - auth_time_ms <= (maxAgeS + LEEWAY_S) * 1000;
  if (isStrong && isFresh) return;
  const fault = isStrong
    ? `the provider did not confirm that the sign-in is at most ${maxAgeS} seconds old`
    : `the provider returned acr ${acr ?? 'none'}, but ${acrValues.join(' or ')} was required`;
  throw new CliError(EXIT.signIn, {
    code: 'sign_in_too_weak',
    title: 'The sign-in is not strong or fresh enough',
    detail: `You signed in, but ${fault}. The sign-in was not stored. Sign in again with a second factor.`,
  });
}

/**
 * The authorization code flow with PKCE and a loopback redirect.
 *
 * @see RFC 8252, RFC 7636, OpenID Connect Core 3.1
 */
async function signInWithBrowser(io: Io, order: CliSignInOrder): Promise<SignInResult> {
  return explain(order.issuer, async () => {
    const config = await discover(io, order.issuer);
    const key = await keyFor(config);
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const nonce = client.randomNonce();
    const loopback = await openLoopback(state, order.issuer.redirect_port ?? 0);
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
      if (isRemote(io))
        order.note(`No browser found. To sign in on another device, use: ${order.deviceOption}`);
      if (order.openBrowser) io.openBrowser(url);
      const callback = await within(io, loopback.callback);
      const tokens = await client.authorizationCodeGrant(
        config,
        callback,
        {
          pkceCodeVerifier: verifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        },
        undefined,
        await proofsOf(config, key),
      );
      return readTokens(io, tokens, key);
    } finally {
      loopback.close();
    }
  });
}

/**
 * The device flow: the person opens an address on another device and enters a code.
 *
 * @see RFC 8628
 */
async function signInWithDevice(io: Io, order: CliSignInOrder): Promise<SignInResult> {
  return explain(order.issuer, async () => {
    const config = await discover(io, order.issuer);
    const key = await keyFor(config);
    const device = await client.initiateDeviceAuthorization(config, parametersOf(order));
    order.note(
      `Open ${printable(device.verification_uri)} and enter the code ${printable(device.user_code)}`,
    );
    const tokens = await client.pollDeviceAuthorizationGrant(config, device, undefined, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(await proofsOf(config, key)),
    });
    return readTokens(io, tokens, key);
  });
}

/** Whether this is an SSH session without a display, where no browser can open. */
function isRemote({ env }: Io): boolean {
  return Boolean(env.SSH_CONNECTION) && !env.DISPLAY && !env.WAYLAND_DISPLAY;
}

/** A key for tokens that the provider binds, or null. */
async function keyFor(config: client.Configuration): Promise<ProofKey | null> {
  return bindsTokens(config) ? createProofKey() : null;
}

function parametersOf({ issuer, stepUp, isFresh }: CliSignInOrder): Record<string, string> {
  const { scope, max_age_s } = issuer;
  if (stepUp === null) {
    return {
      scope,
      // A sign-in that the provider remembers could be older than policy accepts. Also makes it return `auth_time`.
      ...(max_age_s === undefined ? {} : { max_age: String(max_age_s) }),
      ...(isFresh ? { prompt: 'login' } : {}),
    };
  }
  const { acrValues, maxAgeS } = stepUp;
  return {
    scope,
    // `max_age` makes the provider return `auth_time`; `prompt` forces a new sign-in.
    prompt: 'login',
    max_age: String(maxAgeS),
    ...(acrValues.length === 0
      ? {}
      : { claims: JSON.stringify({ id_token: { acr: { essential: true, values: acrValues } } }) }),
  };
}

/**
 * Reads the provider's response.
 *
 * @param key the key of the proof that was sent with the request, or null
 * @throws Error when there is no ID token, or it belongs to another response
 */
export function readTokens(
  { clock }: Pick<Io, 'clock'>,
  tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
  key: ProofKey | null,
): SignInResult {
  const claims = tokens.claims();
  if (tokens.id_token === undefined || claims === undefined) throw new Error('it returned no ID token');
  assertBoundHashes(tokens.id_token, { at_hash: tokens.access_token, c_hash: null });
  const isBound = tokens.token_type.toLowerCase() === 'dpop';
  return {
    id_token: tokens.id_token,
    sub: claims.sub,
    acr: typeof claims.acr === 'string' ? claims.acr : null,
    auth_time_ms: typeof claims.auth_time === 'number' ? claims.auth_time * 1000 : null,
    expires_ms: expiryByClock(claims, clock()),
    refresh:
      tokens.refresh_token === undefined ? null : { token: tokens.refresh_token, key: isBound ? key : null },
  };
}

/** By a clock that is behind, the token would be used for longer than it lives. */
function expiryByClock({ iat, exp }: { iat: number; exp: number }, nowMs: number): number {
  const behindMs = iat * 1000 - nowMs;
  return exp * 1000 - (behindMs > LEEWAY_S * 1000 ? behindMs : 0);
}

/** Waits for the response up to the time limit. */
async function within<T>(io: Io, answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const timeout = io.sleep(PATIENCE_MS, over.signal).then(() => {
    throw new Error('the time limit for signing in has passed');
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    over.abort();
    // The abort rejects the timer after the race, which is expected.
    timeout.catch(() => undefined);
  }
}
