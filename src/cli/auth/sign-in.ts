import * as client from 'openid-client';
import { LEEWAY_S } from '../../identity/verify-token.ts';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { isFetchable } from '../../issuers/issuers.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { openLoopback } from './loopback.ts';

/** How long a person has to sign in, in milliseconds. */
const PATIENCE_MS = 10 * 60_000;
/** How old a sign-in may be when a stronger one is asked for and nothing says more, in seconds. */
export const FRESH_AGE_S = 300;

/** What a sign-in yields. */
export interface SignInResult {
  id_token: string;
  /** The account at the issuer. */
  sub: string;
  /** The `acr` that the issuer gives the sign-in, or null. */
  acr: string | null;
  /** When the person signed in, or null where the issuer does not say. */
  auth_time_ms: number | null;
  expires_ms: number;
}

/** What a stronger sign-in must be. */
export interface StepUpOrder {
  /** One of these `acr` values; any where there are none. */
  acrValues: readonly string[];
  /** At most so many seconds old. */
  maxAgeS: number;
}

/** How to sign in. */
export interface CliSignInOrder {
  issuer: LoginIssuer;
  /** With the browser of this machine, or on another device with a code. */
  flow: 'browser' | 'device';
  /** The option of this command that signs in on another device. */
  deviceOption: string;
  /** Asks for a new sign-in that is so strong; null takes any sign-in. */
  stepUp: StepUpOrder | null;
  /** False leaves opening the address to the person. */
  openBrowser: boolean;
  /** Tells the person what to do. */
  note(line: string): void;
}

/**
 * Signs a person in, and holds the result against what was asked for: to a provider, a wish for strength is only that.
 *
 * @throws CliError when the provider cannot be reached, refuses, or nobody signs in in time; when the sign-in is not as
 *   strong or as fresh as asked for
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
    ? `the provider does not say that it is at most ${maxAgeS} seconds old`
    : `the provider calls it ${acr ?? 'nothing'}, and asked for was ${acrValues.join(' or ')}`;
  throw new CliError(EXIT.denied, {
    code: 'sign_in_too_weak',
    title: 'The sign-in is not what was asked for',
    detail: `You signed in, but ${fault}. It is not kept. Sign in again with the second factor that your provider wants for this.`,
  });
}

/**
 * The code flow with PKCE; the answer comes to a port of this machine.
 *
 * @see RFC 8252, RFC 7636, OpenID Connect Core 3.1
 */
async function signInWithBrowser(io: Io, order: CliSignInOrder): Promise<SignInResult> {
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
      if (isRemote(io))
        order.note(`There seems to be no browser here; on another device: ${order.deviceOption}`);
      if (order.openBrowser) io.openBrowser(url);
      const callback = await within(io, loopback.callback);
      const tokens = await client.authorizationCodeGrant(config, callback, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
      return signedIn(tokens);
    } finally {
      loopback.close();
    }
  });
}

/**
 * The sign-in on another device: the person opens an address there and types a code.
 *
 * @see RFC 8628
 */
async function signInWithDevice(io: Io, order: CliSignInOrder): Promise<SignInResult> {
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

/** A terminal on another machine, which has no screen to show a browser on. */
function isRemote({ env }: Io): boolean {
  return Boolean(env.SSH_CONNECTION) && !env.DISPLAY && !env.WAYLAND_DISPLAY;
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

function parametersOf({ issuer, stepUp }: CliSignInOrder): Record<string, string> {
  if (stepUp === null) return { scope: issuer.scope };
  const { acrValues, maxAgeS } = stepUp;
  return {
    scope: issuer.scope,
    // `max_age` makes the provider say when the sign-in was; `prompt` makes it a new one.
    prompt: 'login',
    max_age: String(maxAgeS),
    ...(acrValues.length === 0
      ? {}
      : { claims: JSON.stringify({ id_token: { acr: { essential: true, values: acrValues } } }) }),
  };
}

function signedIn(tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers): SignInResult {
  const claims = tokens.claims();
  if (tokens.id_token === undefined || claims === undefined) throw new Error('it gave no ID token');
  return {
    id_token: tokens.id_token,
    sub: claims.sub,
    acr: typeof claims.acr === 'string' ? claims.acr : null,
    auth_time_ms: typeof claims.auth_time === 'number' ? claims.auth_time * 1000 : null,
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
