import type { CryptoKey, JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.ts';
import type { Principal } from '../principal.ts';
import {
  type Caller,
  type Credential,
  nameAtIssuer,
  type RequestCredentials,
  type VerifiedToken,
} from './credential.ts';
import { dataEnvironmentOf, ISSUED_ALGORITHM } from './issued-token.ts';
import { assertOwnToken, type PersonIssuer, personPrincipal } from './person.ts';
import { createProofCheck } from './proof-check.ts';
import { type IdentityLog, type Scheme, TokenRefused, tokenInvalid } from './refusal.ts';
import type { Revocation } from './revocations.ts';
import { type DataCredentials, dataToken, type ShownToken, tokenOf } from './shown-token.ts';
import { createTokenCache } from './token-cache.ts';
import { parseTokenForm, type TokenForm, tokenTypeOf, typeRefused } from './token-form.ts';
import { tokenIdOf } from './token-id.ts';
import { type VerifiedClaims, verifyToken } from './verify-token.ts';
import { type VerifiedIssuedToken, verifiedIssued } from './workload.ts';

/*
 * Identity: who is calling, by a token or a session, and by what they showed. It verifies with keys that others hold and
 * hand to it (`issuers/`, `keys/`), holds callers against what is revoked, and keeps nothing but a cache.
 */

/** Verified tokens that are remembered at most. */
const CACHE_CAPACITY = 10_000;

/** An issuer of persons, with the keys that verify its tokens. */
export interface TrustedIssuer extends PersonIssuer {
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
}

/** Keys that can change: what was verified by the former ones is verified again. */
export interface ChangeSource {
  onChange(listener: () => void): void;
}

/** The keys that verify the broker's own tokens. */
export interface OwnKeys extends ChangeSource {
  /** @throws TokenRefused `key_not_found` */
  verifyKey(kid: string | undefined): Promise<CryptoKey>;
}

/** What {@link createAuthenticator} needs. */
export interface AuthenticatorDeps {
  /** The broker's public URL: the `iss` of its own tokens. */
  issuer: string;
  personIssuers: readonly TrustedIssuer[];
  /** The keys of those issuers, as a whole. */
  keySets: ChangeSource;
  /** The broker's own keys. */
  signingKeys: OwnKeys;
  clock: Clock;
  log: IdentityLog;
  /** The revocation that hits who reads flags, by what is known at once. */
  revoked: (caller: Caller) => Revocation | null | Promise<Revocation | null>;
}

/** A token that was looked at on its own, without the request that it came with. */
export interface ExaminedToken extends VerifiedToken {
  claims: VerifiedClaims;
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
   * A token that is bound to a key counts only with a proof of that key, which works once in this process; writes claim
   * it in the store as well, where it works once for all brokers.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`, `issuer_unavailable`
   */
  authenticate(presented: RequestCredentials): Promise<Caller>;
  /**
   * The caller behind a token with the audience `data:<environment>`. A token that was verified a moment ago is
   * answered at once, without a promise: reads are too many for a turn of the event loop each.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`
   */
  authenticateData(credentials: DataCredentials): DataCaller | Promise<DataCaller>;
  /**
   * What a token says and whom it stands for, for introspection and revocation: the checks of {@link authenticate},
   * without a proof.
   *
   * @throws TokenRefused, which the caller MUST turn into its one public answer
   * @throws BrokerError `issuer_unavailable`
   */
  examine(token: string): Promise<ExaminedToken>;
  /** Forgets every verified token. It happens by itself when keys change. */
  invalidate(): void;
}

/** One profile of tokens: whose they are, how they are verified, who they stand for. */
interface Profile {
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
  accept(typ: string | undefined, claims: VerifiedClaims): VerifiedIssuedToken;
  /** Whether the broker signed it itself. */
  isOwn: boolean;
}

/**
 * Token to principal. The issuer is looked up by the exact `iss` before any key is: a token of an unknown
 * issuer causes no fetch. A token that was verified a moment ago costs one hash and one lookup.
 *
 * @throws Error when an issuer or its key is configured twice
 */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { clock, log } = deps;
  const examine = createExamine(profilesByIssuer(deps), clock);
  const cache = createTokenCache<VerifiedToken>({ clock, capacity: CACHE_CAPACITY });
  // One for each plane, so that many reads do not make the control plane forget.
  const withControlProof = createProofCheck({ publicUrl: deps.issuer, clock });
  const withDataProof = createProofCheck({ publicUrl: deps.issuer, clock });
  deps.keySets.onChange(cache.clear);
  deps.signingKeys.onChange(cache.clear);

  const verify = async (token: string): Promise<VerifiedToken> => {
    const generation = cache.generation();
    const { claims, ...rest } = await examine(token);
    const verified: VerifiedToken = deepFreeze(rest);
    cache.keep(cache.keyOf(token), { value: verified, expiresMs: claims.exp * 1000, generation });
    return verified;
  };

  /** The exact reason is for the log; whoever sent the token gets the one public answer. */
  const answerTo = (error: unknown, scheme: Scheme): unknown => {
    if (!(error instanceof TokenRefused)) return error;
    log.warn({ reason: error.reason, note: error.note }, 'token refused');
    return tokenInvalid(error, scheme);
  };

  const verifiedOf = (token: string): VerifiedToken | Promise<VerifiedToken> =>
    cache.find(cache.keyOf(token)) ?? verify(token);

  const dataCallerLater = async (
    pending: VerifiedToken | Promise<VerifiedToken>,
    sent: ShownToken,
    { dpop, method, target }: DataCredentials,
  ): Promise<DataCaller> => {
    const shown = { dpop: dpop === undefined ? [] : [dpop], method, target };
    const verified = await withDataProof(await pending, sent, shown);
    return dataCaller(verified, await deps.revoked(verified));
  };

  return {
    examine,
    authenticate: async (presented) => {
      let scheme: Scheme = 'Bearer';
      try {
        const sent = tokenOf(presented.authorization);
        ({ scheme } = sent);
        return await withControlProof(await verifiedOf(sent.token), sent, presented);
      } catch (error) {
        throw answerTo(error, scheme);
      }
    },
    authenticateData: (credentials) => {
      let scheme: Scheme = 'Bearer';
      try {
        const sent = dataToken(credentials);
        ({ scheme } = sent);
        const verified = verifiedOf(sent.token);
        const isPlain = scheme === 'Bearer' && credentials.dpop === undefined;
        if (isPlain && !(verified instanceof Promise) && verified.jkt === null) {
          const hit = deps.revoked(verified);
          if (!(hit instanceof Promise)) return dataCaller(verified, hit);
        }
        return dataCallerLater(verified, sent, credentials).catch((error: unknown) => {
          throw answerTo(error, scheme);
        });
      } catch (error) {
        throw answerTo(error, scheme);
      }
    },
    invalidate: cache.clear,
  };
}

/** Verifies a token by the profile of its exact `iss`, which is looked up before any key is. */
function createExamine(profiles: ReadonlyMap<string, Profile>, clock: Clock): Authenticator['examine'] {
  return async (token) => {
    const form = parseTokenForm(token);
    const { iss } = form.unverified;
    const profile = typeof iss === 'string' ? profiles.get(iss) : undefined;
    if (typeof iss !== 'string' || !profile) throw new TokenRefused('issuer_not_accepted');
    tokenTypeOf(form.header.typ);
    const { algorithms, keys, isOwn } = profile;
    const claims = await verifyToken(token, form, {
      issuer: iss,
      clock,
      algorithms,
      keys,
      mayBeBound: isOwn,
    });
    const { origins, ...accepted } = profile.accept(form.header.typ, claims);
    const credential = { ...credentialOf(form, claims, isOwn), ...(origins && { origins }) };
    return { ...accepted, credential, claims };
  };
}

/** @throws TokenRefused `revoked`, or `audience_not_accepted` for a token that reads no environment */
function dataCaller({ principal, namespaces }: VerifiedToken, hit: Revocation | null): DataCaller {
  if (hit !== null) throw new TokenRefused('revoked', hit.kind);
  const { audience } = principal.token;
  const environment = dataEnvironmentOf(audience);
  if (environment === null) throw new TokenRefused('audience_not_accepted', audience);
  return { environment, namespaces, principal };
}

/** What a verified token is for revocation. @param isOwn whether the broker signed it itself */
export function credentialOf(form: TokenForm, claims: VerifiedClaims, isOwn: boolean): Credential {
  const { sid } = claims;
  return {
    issuer: claims.iss,
    token_id: tokenIdOf(claims, form.signingInput),
    kid: isOwn ? (form.header.kid ?? null) : null,
    issued_ms: Math.floor(claims.iat * 1000),
    expires_ms: Math.ceil(claims.exp * 1000),
    session: typeof sid === 'string' ? nameAtIssuer(claims.iss, sid) : null,
    proof: null,
  };
}

function profilesByIssuer(deps: AuthenticatorDeps): ReadonlyMap<string, Profile> {
  const own: Profile = {
    algorithms: [ISSUED_ALGORITHM],
    keys: (header) => deps.signingKeys.verifyKey(header.kid),
    accept: (typ, claims) => {
      if (tokenTypeOf(typ) !== 'access_token') throw typeRefused(typ);
      return verifiedIssued(claims);
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
      keys: issuer.keys,
      accept: (typ, claims) => {
        assertOwnToken(claims);
        return { principal: personPrincipal(issuer, tokenTypeOf(typ), claims), namespaces: [], jkt: null };
      },
      isOwn: false,
    });
  }
  return profiles;
}

/** One object serves many requests while it is cached, so nobody may change it. */
function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
