import * as client from 'openid-client';
import type { Clock } from '../clock.ts';
import type { CallIds, ControlDeps } from '../decide/control.ts';
import { BrokerError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Caller } from '../identity/credential.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import { assertBoundHashes } from '../identity/token-hash.ts';
import { acrValuesOf } from '../issuers/issuers.ts';
import { hasBegun } from '../store/batch.ts';
import type { SignInsTable } from '../store/schema.ts';
import { insertSignIn, takeSignIn } from '../store/sessions.ts';
import { openSession } from './open-session.ts';
import { faultOf, type Providers, unavailable, type WebIssuer } from './providers.ts';
import { createSecret, deriveSignIn, hashOf } from './secrets.ts';
import type { Sessions } from './sessions.ts';
import { assertSamePerson, assertStrongEnough } from './step-up.ts';

/** The path of the redirect URI. Providers with their own redirect URI have a path below it. */
export const CALLBACK_PATH = '/auth/callback';

/** The time limit for a sign-in, in milliseconds. */
export const SIGN_IN_MS = 10 * 60_000;

/** What {@link createSignIn} needs. */
export interface SignInDeps {
  control: ControlDeps;
  sessions: Sessions;
  providers: Providers;
  /** Verifies the ID token by the same rules as every other token. */
  authenticator: Pick<Authenticator, 'authenticate'>;
  /** @throws BrokerError `rate_limited` */
  limitCalls: (principalId: string) => Promise<void>;
  publicUrl: string;
  clock: Clock;
  log: IdentityLog;
}

/** The parameters of a sign-in. */
export interface SignInOrder {
  issuer: WebIssuer;
  return_to: string;
  /** The required level and the maximum age of the sign-in in seconds; null for no requirement. */
  level: number | null;
  max_age_s: number | null;
  /** How long policy accepts a sign-in, in seconds: the provider must not remember an older one. Null without a limit. */
  longest_s: number | null;
}

/** The provider's response, as delivered by the browser. */
export interface ProviderAnswer {
  /** The secret of the sign-in's cookie. */
  secret: string | null;
  /** The address that the browser requested. */
  url: URL;
  /** The secret of the browser's current session. */
  formerSecret: string | null;
  userAgent: string;
  ids: CallIds;
}

/** Sign-in with a browser: code flow with PKCE, state, nonce and the `iss` check. */
export interface SignIn {
  /**
   * Begins a sign-in.
   *
   * @returns the address to redirect to, the secret for the cookie, and the `state` that selects the cookie
   * @throws BrokerError `issuer_unavailable`
   */
  begin(order: SignInOrder): Promise<{ secret: string; state: string; url: URL }>;
  /**
   * Completes a sign-in: checks the provider's response, then opens a session that replaces the browser's current one.
   *
   * @returns the secret for the session's cookie, and the path to redirect to
   * @throws BrokerError `sign_in_failed` for a response that matches no pending sign-in of this browser, does not come
   *   from the provider, or names another account in a step-up; `token_invalid`, `sign_in_required`, `policy_denied`,
   *   `issuer_unavailable`, `rate_limited`. If the sign-in is known, {@link againOf} has the address to restart it
   */
  complete(answer: ProviderAnswer): Promise<{ secret: string; return_to: string }>;
}

/** Creates the sign-in. The state between its two steps is in the store, so another broker can complete it. */
export function createSignIn(deps: SignInDeps): SignIn {
  const { control, providers, clock } = deps;

  return {
    begin: async (order) => {
      const config = await providers.open(order.issuer);
      const secret = createSecret();
      const { state, nonce, verifier } = deriveSignIn(secret);
      const url = client.buildAuthorizationUrl(config, {
        ...parametersOf(order, config.serverMetadata()),
        redirect_uri: callbackUrl(deps, order.issuer, config.serverMetadata()),
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
      await control.store.writer.write((tx) => insertSignIn(tx, row, nowMs));
      return { secret, state, url };
    },
    complete: async (answer) => {
      const taken = await take(deps, answer);
      try {
        return { secret: await finish(deps, answer, taken), return_to: taken.signIn.return_to };
      } catch (error) {
        throw error instanceof BrokerError ? withAgain(error, taken.signIn) : error;
      }
    },
  };
}

/** @returns the secret of the new session */
async function finish(deps: SignInDeps, answer: ProviderAnswer, { secret, signIn }: Taken): Promise<string> {
  const nowMs = deps.clock();
  // One that began in the future would last longer after the clock was set back.
  if (nowMs >= signIn.expires_ms || !hasBegun(signIn.expires_ms - SIGN_IN_MS, nowMs))
    throw refused('The sign-in took more than 10 minutes and has expired.');
  const issuer = deps.providers.issuers.find(({ key }) => key === signIn.issuer_key);
  if (issuer === undefined) throw notUnderWay('its identity provider is no longer configured');
  const idToken = await grant(deps, { ...answer, issuer, secret });
  const caller = await authenticate(deps, idToken);
  assertStrongEnough(caller, signIn, { issuer: issuer.issuer, nowMs: deps.clock() });
  assertSamePerson(caller, signIn, await deps.sessions.findOpen(answer.formerSecret));
  await deps.limitCalls(caller.principal.id);
  return openSession(deps, { caller, issuer, ...answer });
}

/** The single public message for every refused sign-in, in terms for people who do not know tokens. */
const NOT_ACCEPTED =
  'Your identity provider signed you in, but this broker did not accept the sign-in. Sign in again, or ask the operator of this broker.';

/** Adds the address that restarts the same sign-in, so that its destination is not lost. */
function withAgain(
  error: BrokerError,
  { issuer_key, return_to, level, max_age_s }: SignInsTable,
): BrokerError {
  const again = new URLSearchParams({
    issuer: issuer_key,
    return_to,
    ...(level === null ? {} : { level: String(level) }),
    ...(max_age_s === null ? {} : { max_age: String(max_age_s) }),
  });
  const extra = { ...error.fields.extra, sign_in: `/auth/sign-in?${again}` };
  const detail = error.code === 'token_invalid' ? NOT_ACCEPTED : error.message;
  return new BrokerError(error.code, detail, { ...error.fields, extra }, error.cause);
}

/** The address that restarts a refused sign-in, or null if the sign-in is unknown. */
export function againOf({ fields }: BrokerError): string | null {
  const path = fields.extra?.sign_in;
  return typeof path === 'string' ? path : null;
}

/**
 * The redirect URI. If there are several providers, one that does not identify itself in its responses (RFC 9207) gets
 * its own redirect URI. Otherwise another provider could pass off the response as its own and receive the code.
 *
 * @see RFC 9700 section 4.4.2
 */
function callbackUrl(
  { providers, publicUrl }: Pick<SignInDeps, 'providers' | 'publicUrl'>,
  { key }: WebIssuer,
  metadata: client.ServerMetadata,
): string {
  const isKnown =
    providers.issuers.length === 1 || metadata.authorization_response_iss_parameter_supported === true;
  return isKnown ? `${publicUrl}${CALLBACK_PATH}` : `${publicUrl}${CALLBACK_PATH}/${key}`;
}

function parametersOf(
  { issuer, level, max_age_s, longest_s }: SignInOrder,
  metadata: client.ServerMetadata,
): Record<string, string> {
  const maxAgeS = max_age_s ?? longest_s;
  return {
    scope: issuer.web.scope,
    ...(maxAgeS === null ? {} : { max_age: String(maxAgeS) }),
    ...(level === null ? {} : wishFor(acrValuesOf(issuer, level), metadata)),
  };
}

/**
 * Only the essential claim binds a provider. `acr_values` is a preference, for providers that do not support the claims
 * parameter. Never send both, because some providers then apply the weaker one.
 */
function wishFor(values: readonly string[], metadata: client.ServerMetadata): Record<string, string> {
  // If no `acr` stands for the level, only a new sign-in can reach it.
  if (values.length === 0) return { prompt: 'login' };
  if (metadata.claims_parameter_supported !== true) return { acr_values: values.join(' ') };
  return { claims: JSON.stringify({ id_token: { acr: { essential: true, values } } }) };
}

/** A pending sign-in and the secret that its values are derived from. */
interface Taken {
  secret: string;
  signIn: SignInsTable;
}

/** Finds the pending sign-in of a response by cookie and `state`, and consumes it: it works once. */
async function take({ control, publicUrl }: SignInDeps, { secret, url }: ProviderAnswer): Promise<Taken> {
  if (secret === null) throw notUnderWay(`this browser has no pending sign-in at ${publicUrl}`);
  // Checked before the sign-in is consumed, so that a link from another site cannot cancel a pending one.
  const states = url.searchParams.getAll('state');
  if (states.length !== 1 || states[0] !== deriveSignIn(secret).state) {
    throw notUnderWay('the response belongs to another sign-in');
  }
  const signIn = await control.store.writer.write((tx) => takeSignIn(tx, hashOf(secret)));
  if (signIn === undefined || signIn.state_hash !== hashOf(states[0])) {
    throw notUnderWay('it was already completed');
  }
  return { secret, signIn };
}

/** Exchanges the code for the ID token. The library checks `iss`, `state`, `nonce`, signature, times and audience. */
async function grant(
  { providers, publicUrl, log }: SignInDeps,
  { issuer, secret, url, ids }: { issuer: WebIssuer; secret: string } & Pick<ProviderAnswer, 'url' | 'ids'>,
): Promise<string> {
  const config = await providers.open(issuer);
  if (
    `${url.origin}${url.pathname}` !== callbackUrl({ providers, publicUrl }, issuer, config.serverMetadata())
  ) {
    throw refused(`The response was sent to the redirect URI of another provider than ${issuer.issuer}.`);
  }
  const { state, nonce, verifier } = deriveSignIn(secret);
  try {
    const { id_token, access_token } = await client.authorizationCodeGrant(config, url, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    if (id_token !== undefined) {
      assertBoundHashes(id_token, { at_hash: access_token, c_hash: url.searchParams.get('code') });
      return id_token;
    }
    throw new Error('the provider returned no ID token');
  } catch (error) {
    const note = faultOf(error);
    log.warn(
      { reason: 'sign_in_not_accepted', note, issuer: issuer.issuer, request_id: ids.http_request_id },
      'sign-in refused',
    );
    if (error instanceof client.AuthorizationResponseError) {
      throw refused(`${issuer.issuer} did not sign you in: ${saidBy(error)}.`);
    }
    if (error instanceof client.ResponseBodyError && error.status < 500) {
      throw refused(`${issuer.issuer} did not accept the code: ${saidBy(error)}.`);
    }
    if (isUnreachable(error)) throw unavailable(issuer.issuer);
    throw refused(`The response is not a valid response of ${issuer.issuer} to this sign-in.`);
  }
}

/** The provider's own message. Anybody can put text into the address, so it is shown as plain text and truncated. */
function saidBy({ error, error_description }: { error: string; error_description?: string }): string {
  return [error, error_description ?? ''].join(' ').trim().slice(0, 300);
}

/** No response, or a temporary failure. */
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
    // Opening a session changes something, whatever the method of the callback.
    method: 'POST',
    target: CALLBACK_PATH,
    origin: undefined,
    fetch_site: undefined,
  });
}

function notUnderWay(why: string): BrokerError {
  return refused(`No matching sign-in: ${why}.`);
}

function refused(why: string): BrokerError {
  return new BrokerError('sign_in_failed', `${why} Start again. Nothing has changed.`);
}
