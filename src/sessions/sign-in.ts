import * as client from 'openid-client';
import type { Clock } from '../clock.ts';
import type { ControlDeps } from '../decide/control.ts';
import { BrokerError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Caller } from '../identity/credential.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import { acrValuesOf } from '../issuers/issuers.ts';
import type { SignInsTable } from '../store/schema.ts';
import { insertSignIn, takeSignIn } from '../store/sessions.ts';
import { openSession } from './open-session.ts';
import { faultOf, type Providers, unavailable, type WebIssuer } from './providers.ts';
import { createSecret, deriveSignIn, hashOf } from './secrets.ts';
import type { Sessions } from './sessions.ts';
import { assertSamePerson, assertStrongEnough } from './step-up.ts';

/** Where providers send browsers back to; below it, those with an address of their own. */
export const CALLBACK_PATH = '/auth/callback';

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
export interface ProviderAnswer {
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
   * @returns where the browser goes, the secret for its cookie, and the `state` that the cookie is found by
   * @throws BrokerError `issuer_unavailable`
   */
  begin(order: SignInOrder): Promise<{ secret: string; state: string; url: URL }>;
  /**
   * Ends a sign-in: checks the provider's answer, then opens the session, in place of the browser's former one.
   *
   * @returns the secret for the session's cookie, and where the browser goes
   * @throws BrokerError `sign_in_failed` for an answer that belongs to no sign-in under way in this browser, or that is not
   *   the provider's, or is somebody else's to a step-up; `token_invalid`, `sign_in_required`, `policy_denied`,
   *   `issuer_unavailable`, `rate_limited`. Where it is known what was begun, {@link againOf} says how to begin it again
   */
  complete(answer: ProviderAnswer): Promise<{ secret: string; return_to: string }>;
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

/** @returns the secret of the session that it opened */
async function finish(deps: SignInDeps, answer: ProviderAnswer, { secret, signIn }: Taken): Promise<string> {
  if (deps.clock() >= signIn.expires_ms)
    throw refused('The sign-in took more than 10 minutes, so it is over.');
  const issuer = deps.providers.issuers.find(({ key }) => key === signIn.issuer_key);
  if (issuer === undefined) throw notUnderWay('its identity provider is no longer configured');
  const idToken = await grant(deps, { ...answer, issuer, secret });
  const caller = await authenticate(deps, idToken);
  assertStrongEnough(caller, signIn, { issuer: issuer.issuer, nowMs: deps.clock() });
  assertSamePerson(caller, signIn, await deps.sessions.findOpen(answer.formerSecret));
  await deps.limitCalls(caller.principal.id);
  return openSession(deps, { caller, issuer, ...answer });
}

/** The one public answer to a sign-in that is not accepted, for who knows nothing of tokens. */
const NOT_ACCEPTED =
  'Your identity provider signed you in, but you are not accepted here. If signing in again does not help, ask whoever runs this broker.';

/** The refusal with the way to begin the same sign-in again, so that nobody loses where they wanted to go. */
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

/** Where the sign-in that was refused begins again, or null where nobody knows what was begun. */
export function againOf({ fields }: BrokerError): string | null {
  const path = fields.extra?.sign_in;
  return typeof path === 'string' ? path : null;
}

/**
 * Where providers send browsers back to. Of several, one that does not say in its answer who it is (RFC 9207) has an
 * address of its own: otherwise another one could pass that answer off as its own, and would be sent the code.
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

/** A sign-in that was under way, and the secret that it is held together by. */
interface Taken {
  secret: string;
  signIn: SignInsTable;
}

/** Finds the sign-in that the answer belongs to, by cookie and `state`, and takes it: it works once. */
async function take({ control, publicUrl }: SignInDeps, { secret, url }: ProviderAnswer): Promise<Taken> {
  if (secret === null) throw notUnderWay(`this browser has none under way at ${publicUrl}`);
  // Before the sign-in is used up, so that a link from elsewhere cannot end one that is under way.
  const states = url.searchParams.getAll('state');
  if (states.length !== 1 || states[0] !== deriveSignIn(secret).state) {
    throw notUnderWay('the answer belongs to another one');
  }
  const signIn = await control.store.writer.write((tx) => takeSignIn(tx, hashOf(secret)));
  if (signIn === undefined || signIn.state_hash !== hashOf(states[0])) {
    throw notUnderWay('it was finished before');
  }
  return { secret, signIn };
}

/** Trades the code for the ID token. The library checks `iss`, `state`, `nonce`, signature, times and audience. */
async function grant(
  { providers, publicUrl, log }: SignInDeps,
  {
    issuer,
    secret,
    url,
    http_request_id,
  }: { issuer: WebIssuer; secret: string } & Pick<ProviderAnswer, 'url' | 'http_request_id'>,
): Promise<string> {
  const config = await providers.open(issuer);
  if (
    `${url.origin}${url.pathname}` !== callbackUrl({ providers, publicUrl }, issuer, config.serverMetadata())
  ) {
    throw refused(`The answer came to the address of another provider than ${issuer.issuer}.`);
  }
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
    target: CALLBACK_PATH,
    origin: undefined,
    fetch_site: undefined,
  });
}

function notUnderWay(why: string): BrokerError {
  return refused(`There is no such sign-in: ${why}.`);
}

function refused(why: string): BrokerError {
  return new BrokerError('sign_in_failed', `${why} Begin again; nothing has changed.`);
}
