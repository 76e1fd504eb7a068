import * as client from 'openid-client';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Caller } from '../identity/credential.ts';
import { acrValuesOf } from '../identity/issuers.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import type { SignInsTable } from '../store/schema.ts';
import { insertSignIn, takeSignIn } from '../store/sessions.ts';
import type { ControlDeps } from '../use-case/use-case.ts';
import { openSession } from './open-session.ts';
import { faultOf, type Providers, unavailable, type WebIssuer } from './providers.ts';
import { createSecret, deriveSignIn, hashOf } from './secrets.ts';
import type { Sessions } from './sessions.ts';

/** How long a sign-in may take, in milliseconds. */
export const SIGN_IN_MS = 10 * 60_000;

/** What {@link createSignIn} needs. */
export interface SignInDeps {
  control: ControlDeps;
  sessions: Sessions;
  providers: Providers;
  /** Holds the ID token against the same rules as every other token. */
  authenticator: Pick<Authenticator, 'authenticate'>;
  /** @throws BrokerError `rate_limited` */
  limitCalls: (principalId: string) => Promise<void>;
  publicUrl: string;
  clock: Clock;
  log: IdentityLog;
}

/** How somebody wants to sign in. */
export interface SignInOrder {
  issuer: WebIssuer;
  return_to: string;
  /** The level that the sign-in must reach, and how old it may be, in seconds; null where nothing is asked. */
  level: number | null;
  max_age_s: number | null;
}

/** The provider's answer, as the browser brought it. */
export interface Answer {
  /** The secret of the sign-in's cookie. */
  secret: string | null;
  /** The address as the browser saw it. */
  url: URL;
  /** The secret of the session that the browser has so far. */
  formerSecret: string | null;
  userAgent: string;
  http_request_id: string | null;
}

/** Signing in with a browser: code flow with PKCE, state, nonce and the `iss` check. */
export interface SignIn {
  /**
   * Begins a sign-in.
   *
   * @returns where the browser goes, and the secret for its cookie
   * @throws BrokerError `issuer_unavailable`
   */
  begin(order: SignInOrder): Promise<{ secret: string; url: URL }>;
  /**
   * Ends a sign-in: checks the provider's answer, then opens the session, in place of the browser's former one.
   *
   * @returns the secret for the session's cookie, and where the browser goes
   * @throws BrokerError `sign_in_failed` for an answer that belongs to no sign-in under way in this browser, or that is not
   *   the provider's; `token_invalid`, `sign_in_required`, `policy_denied`, `issuer_unavailable`, `rate_limited`
   */
  complete(answer: Answer): Promise<{ secret: string; return_to: string }>;
}

/** Creates both ends of a sign-in. What happens between them is in the store, so another broker can finish it. */
export function createSignIn(deps: SignInDeps): SignIn {
  const { control, providers, clock } = deps;

  return {
    begin: async (order) => {
      const config = await providers.open(order.issuer);
      const secret = createSecret();
      const { state, nonce, verifier } = deriveSignIn(secret);
      const url = client.buildAuthorizationUrl(config, {
        ...parametersOf(order, config.serverMetadata()),
        redirect_uri: callbackUrl(deps.publicUrl),
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      const nowMs = clock();
      const row: SignInsTable = {
        id_hash: hashOf(secret),
        state_hash: hashOf(state),
        issuer_key: order.issuer.key,
        return_to: order.return_to,
        level: order.level,
        max_age_s: order.max_age_s,
        expires_ms: nowMs + SIGN_IN_MS,
      };
      await control.store.door.write((tx) => insertSignIn(tx, row, nowMs));
      return { secret, url };
    },
    complete: async (answer) => {
      const { secret, signIn } = await take(deps, answer);
      const issuer = providers.issuers.find(({ key }) => key === signIn.issuer_key);
      if (issuer === undefined) throw notUnderWay('its identity provider is no longer configured');
      const idToken = await grant(deps, { ...answer, issuer, secret });
      const caller = await authenticate(deps, idToken);
      assertStrongEnough(caller, signIn, { issuer: issuer.issuer, nowMs: clock() });
      await deps.limitCalls(caller.principal.id);
      const opened = await openSession(deps, { caller, issuer, ...answer });
      return { secret: opened, return_to: signIn.return_to };
    },
  };
}

/** Where providers send browsers back to. */
export function callbackUrl(publicUrl: string): string {
  return `${publicUrl}/auth/callback`;
}

function parametersOf(
  { issuer, level, max_age_s }: SignInOrder,
  metadata: client.ServerMetadata,
): Record<string, string> {
  return {
    scope: issuer.web.scope,
    ...(max_age_s === null ? {} : { max_age: String(max_age_s) }),
    ...(level === null ? {} : wishFor(acrValuesOf(issuer, level), metadata)),
  };
}

/**
 * Only the essential claim binds a provider. `acr_values` is a preference, for providers that do not know the other; never
 * both, because some take the weaker one then.
 */
function wishFor(values: readonly string[], metadata: client.ServerMetadata): Record<string, string> {
  // A level that no `acr` stands for may come with a new sign-in, if it comes at all.
  if (values.length === 0) return { prompt: 'login' };
  if (metadata.claims_parameter_supported !== true) return { acr_values: values.join(' ') };
  return { claims: JSON.stringify({ id_token: { acr: { essential: true, values } } }) };
}

/** Finds the sign-in that the answer belongs to, by cookie and `state`, and takes it: it works once. */
async function take(
  { control, clock, publicUrl }: SignInDeps,
  { secret, url }: Answer,
): Promise<{ secret: string; signIn: SignInsTable }> {
  if (secret === null) throw notUnderWay(`this browser has none under way at ${publicUrl}`);
  // Before the sign-in is used up, so that a link from elsewhere cannot end one that is under way.
  const states = url.searchParams.getAll('state');
  if (states.length !== 1 || states[0] !== deriveSignIn(secret).state) {
    throw notUnderWay('the answer belongs to another one');
  }
  const signIn = await control.store.door.write((tx) => takeSignIn(tx, hashOf(secret)));
  if (signIn === undefined || signIn.state_hash !== hashOf(states[0])) {
    throw notUnderWay('it was finished before');
  }
  if (clock() >= signIn.expires_ms) throw notUnderWay('it took more than 10 minutes');
  return { secret, signIn };
}

/** Trades the code for the ID token. The library checks `iss`, `state`, `nonce`, signature, times and audience. */
async function grant(
  { providers, log }: SignInDeps,
  {
    issuer,
    secret,
    url,
    http_request_id,
  }: { issuer: WebIssuer; secret: string } & Pick<Answer, 'url' | 'http_request_id'>,
): Promise<string> {
  const config = await providers.open(issuer);
  const { state, nonce, verifier } = deriveSignIn(secret);
  try {
    const { id_token } = await client.authorizationCodeGrant(config, url, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    if (id_token !== undefined) return id_token;
    throw new Error('the provider gave no ID token');
  } catch (error) {
    const note = faultOf(error);
    log.warn(
      { reason: 'sign_in_not_accepted', note, issuer: issuer.issuer, request_id: http_request_id },
      'sign-in refused',
    );
    if (error instanceof client.AuthorizationResponseError) {
      throw refused(`${issuer.issuer} did not sign you in: ${saidBy(error)}.`);
    }
    if (error instanceof client.ResponseBodyError && error.status < 500) {
      throw refused(`${issuer.issuer} did not take the sign-in: ${saidBy(error)}.`);
    }
    if (isUnreachable(error)) throw unavailable(issuer.issuer);
    throw refused(`The answer is not one of ${issuer.issuer} to this sign-in.`);
  }
}

/** The provider's own words, which anybody may have put into the address: they are shown as text, and cut. */
function saidBy({ error, error_description }: { error: string; error_description?: string }): string {
  return [error, error_description ?? ''].join(' ').trim().slice(0, 300);
}

/** No answer, or one that says to come again. */
function isUnreachable(error: unknown): boolean {
  if (error instanceof client.ResponseBodyError) return true;
  const { cause, name } = error as { cause?: unknown; name?: unknown };
  if (cause instanceof Response) return cause.status >= 500;
  return error instanceof TypeError || cause instanceof TypeError || name === 'TimeoutError';
}

function authenticate({ authenticator }: SignInDeps, idToken: string): Promise<Caller> {
  return authenticator.authenticate({
    authorization: `Bearer ${idToken}`,
    dpop: [],
    cookie: undefined,
    method: 'GET',
    target: '/auth/callback',
    origin: undefined,
    fetch_site: undefined,
  });
}

/** What was asked for is only a wish to the provider, so it is held against what it answers. */
function assertStrongEnough(
  { principal }: Caller,
  { level, max_age_s }: SignInsTable,
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

function notUnderWay(why: string): BrokerError {
  return refused(`There is no such sign-in: ${why}.`);
}

function refused(why: string): BrokerError {
  return new BrokerError('sign_in_failed', `${why} Begin again; nothing has changed.`);
}
