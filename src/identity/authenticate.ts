import type { JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Principal } from '../policy/input.ts';
import type { Caller, Credential, Presented } from './credential.ts';
import type { IssuerConfig } from './issuers.ts';
import type { KeySets } from './jwks.ts';
import { ISSUED_ALGORITHM, type SigningKeys } from './keys.ts';
import { personPrincipal } from './person.ts';
import { type IdentityLog, TokenRefused, tokenInvalid } from './refusal.ts';
import type { Revocation } from './revocations.ts';
import { createTokenCache } from './token-cache.ts';
import { MAX_TOKEN_BYTES, parseTokenForm, type TokenForm, tokenTypeOf } from './token-form.ts';
import { tokenIdOf } from './token-id.ts';
import { type VerifiedClaims, verifyToken } from './verify-token.ts';
import { type Verified, verifiedWorkload } from './workload.ts';

/** Verified tokens that are remembered at most. */
const CACHE_CAPACITY = 10_000;

const BEARER = /^Bearer +([^\s,]+)$/i;

/** What {@link createAuthenticator} needs. */
export interface AuthenticatorDeps {
  /** The broker's public URL: the `iss` of its own tokens. */
  issuer: string;
  personIssuers: readonly IssuerConfig[];
  keySets: KeySets;
  signingKeys: SigningKeys;
  clock: Clock;
  log: IdentityLog;
  /** The revocation that hits who reads flags, by what is known at once. */
  revoked: (caller: Caller) => Revocation | null | Promise<Revocation | null>;
}

/** Where an application's token may be: the Authorization header or the X-API-Key header of OFREP. */
export interface DataCredentials {
  authorization: string | undefined;
  apiKey?: string | undefined;
}

/** Who asks for flags, and for which: a token reads one environment only, and some or all (`*`) namespaces of it. */
export interface DataCaller {
  environment: string;
  namespaces: readonly string[];
  principal: Principal;
}

/** Turns credentials into a principal, or refuses. */
export interface Authenticator {
  /**
   * The caller behind a token, for control and audit plane. A token of another audience is authenticated too: that it is
   * in the wrong place is for policy to deny and for the log to record. Whether it is revoked is for the caller to ask.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`, `issuer_unavailable`
   */
  authenticate(presented: Presented): Promise<Caller>;
  /**
   * The caller behind a token with the audience `data:<environment>`. A token that was verified a moment ago is
   * answered at once, without a promise: reads are too many for a turn of the event loop each.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`
   */
  authenticateData(credentials: DataCredentials): DataCaller | Promise<DataCaller>;
  /** Forgets every verified token. It happens by itself when keys change. */
  invalidate(): void;
}

/** One profile of tokens: whose they are, how they are verified, who they stand for. */
interface Profile {
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
  accept(typ: string | undefined, claims: VerifiedClaims): Omit<Verified, 'credential'>;
  /** Whether the broker signed it itself. */
  isOwn: boolean;
}

/**
 * Bearer token to principal. The issuer is looked up by the exact `iss` before any key is: a token of an unknown
 * issuer causes no fetch. A token that was verified a moment ago costs one hash and one lookup.
 *
 * @throws Error when an issuer or its key is configured twice
 */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { clock, log } = deps;
  const profiles = profilesByIssuer(deps);
  const cache = createTokenCache<Verified>({ clock, capacity: CACHE_CAPACITY });
  deps.keySets.onChange(cache.clear);
  deps.signingKeys.onChange(cache.clear);

  const verify = async (token: string): Promise<Verified> => {
    const generation = cache.generation();
    const form = parseTokenForm(token);
    const { iss } = form.unverified;
    const profile = typeof iss === 'string' ? profiles.get(iss) : undefined;
    if (typeof iss !== 'string' || !profile) throw new TokenRefused('issuer_not_accepted');
    tokenTypeOf(form.header.typ);
    const claims = await verifyToken(token, form, { issuer: iss, clock, ...profile });
    const credential = credentialOf(form, claims, profile.isOwn);
    const verified = deepFreeze({ ...profile.accept(form.header.typ, claims), credential });
    cache.keep(cache.keyOf(token), { value: verified, expiresMs: claims.exp * 1000, generation });
    return verified;
  };

  /** The one place where an exact reason becomes the one public answer. */
  const answerTo = (error: unknown): unknown => {
    if (!(error instanceof TokenRefused)) return error;
    log.warn({ reason: error.reason, note: error.note }, 'token refused');
    return tokenInvalid(error);
  };

  const dataCallerLater = async (pending: Verified | Promise<Verified>): Promise<DataCaller> => {
    const verified = await pending;
    return dataCaller(verified, await deps.revoked(verified));
  };

  const verifiedOf = (token: string): Verified | Promise<Verified> =>
    cache.find(cache.keyOf(token)) ?? verify(token);

  return {
    authenticate: async ({ authorization }) => {
      try {
        return await verifiedOf(bearerToken(authorization));
      } catch (error) {
        throw answerTo(error);
      }
    },
    authenticateData: (credentials) => {
      try {
        const verified = verifiedOf(dataToken(credentials));
        const hit = verified instanceof Promise ? null : deps.revoked(verified);
        if (!(verified instanceof Promise) && !(hit instanceof Promise)) return dataCaller(verified, hit);
        return dataCallerLater(verified).catch((error: unknown) => {
          throw answerTo(error);
        });
      } catch (error) {
        throw answerTo(error);
      }
    },
    invalidate: cache.clear,
  };
}

/** @throws TokenRefused `revoked`, or `audience_not_accepted` for a token that reads no environment */
function dataCaller({ principal, namespaces }: Verified, hit: Revocation | null): DataCaller {
  if (hit !== null) throw new TokenRefused('revoked', hit.kind);
  const { audience } = principal.token;
  if (!audience.startsWith('data:')) throw new TokenRefused('audience_not_accepted');
  return { environment: audience.slice('data:'.length), namespaces, principal };
}

function credentialOf(form: TokenForm, claims: VerifiedClaims, isOwn: boolean): Credential {
  const { sid } = claims;
  return {
    issuer: claims.iss,
    token_id: tokenIdOf(claims, form.signingInput),
    kid: isOwn ? (form.header.kid ?? null) : null,
    issued_ms: Math.floor(claims.iat * 1000),
    expires_ms: Math.ceil(claims.exp * 1000),
    session: typeof sid === 'string' ? `${claims.iss}#${sid}` : null,
    proof: null,
  };
}

function profilesByIssuer(deps: AuthenticatorDeps): ReadonlyMap<string, Profile> {
  const own: Profile = {
    algorithms: [ISSUED_ALGORITHM],
    keys: (header) => deps.signingKeys.verifyKey(header.kid),
    accept: (typ, claims) => {
      if (tokenTypeOf(typ) !== 'access_token') throw new TokenRefused('type_not_accepted');
      return verifiedWorkload(claims);
    },
    isOwn: true,
  };
  const profiles = new Map([[deps.issuer, own]]);
  const keys = new Set<string>();
  for (const issuer of deps.personIssuers) {
    // Two issuers of one key would make one person of two people with the same subject.
    if (keys.has(issuer.key)) throw new Error(`the issuer key ${issuer.key} is configured twice`);
    keys.add(issuer.key);
    if (profiles.has(issuer.issuer)) throw new Error(`the issuer ${issuer.issuer} is configured twice`);
    profiles.set(issuer.issuer, {
      algorithms: issuer.algorithms,
      keys: deps.keySets.keysOf(issuer),
      accept: (typ, claims) => ({
        principal: personPrincipal(issuer, tokenTypeOf(typ), claims),
        namespaces: [],
      }),
      isOwn: false,
    });
  }
  return profiles;
}

function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') throw unauthenticated();
  if (authorization.length > MAX_TOKEN_BYTES + 'Bearer '.length) throw new TokenRefused('oversize');
  const token = BEARER.exec(authorization)?.[1];
  if (token === undefined) throw new TokenRefused('not_bearer');
  return token;
}

function dataToken({ authorization, apiKey }: DataCredentials): string {
  if (apiKey === undefined || apiKey === '') return bearerToken(authorization);
  // RFC 6750 section 2: not more than one method. Choosing one would let two readers see two callers.
  if (authorization !== undefined) throw new TokenRefused('two_credentials');
  return apiKey;
}

function unauthenticated(): BrokerError {
  return new BrokerError('unauthenticated', 'Send a token in the Authorization header: Bearer <token>.', {
    headers: { 'WWW-Authenticate': 'Bearer' },
  });
}

/** One object serves many requests while it is cached, so nobody may change it. */
function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
