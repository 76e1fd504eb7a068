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
import { createDataCallers, type DataCallers } from './data-callers.ts';
import { ISSUED_ALGORITHM } from './issued-token.ts';
import { assertOwnToken, type PersonIssuer, personPrincipal } from './person.ts';
import { createProofCheck } from './proof-check.ts';
import { type IdentityLog, refusalTold, type Scheme, TokenRefused } from './refusal.ts';
import type { Revocation } from './revocations.ts';
import { tokenOf } from './shown-token.ts';
import { createTokenCache } from './token-cache.ts';
import { parseTokenForm, type TokenForm, tokenTypeOf, typeRefused } from './token-form.ts';
import { tokenIdOf } from './token-id.ts';
import { type VerifiedClaims, verifyToken } from './verify-token.ts';
import { type VerifiedIssuedToken, verifiedIssued } from './workload.ts';

/*
 * Identity: authenticates callers by a token or a session. It verifies with keys from `issuers/` and `keys/`, checks
 * revocations, and has no state but a cache.
 */

/** The maximum number of cached tokens. */
const CACHE_CAPACITY = 10_000;

/** The methods that change nothing. RFC 9110 section 9.2.1 */
const READING_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** An issuer of person tokens, with the keys that verify them. */
export interface TrustedIssuer extends PersonIssuer {
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
  /** Checks that the issuer still has keys at all. @throws BrokerError `issuer_unavailable` */
  assertNotWithdrawn(): Promise<void>;
}

/** Keys that can change. Tokens verified with the previous keys must be verified again. */
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
  /** The revocation that applies to a flag reader, without waiting where possible. */
  revoked: (caller: Caller) => Revocation | null | Promise<Revocation | null>;
}

/** A token examined on its own, without a request. */
export interface ExaminedToken extends VerifiedToken {
  claims: VerifiedClaims;
}

/** Turns credentials into a principal, or refuses. */
export interface Authenticator {
  /**
   * Authenticates a token for the control and audit plane. A token with another audience is authenticated too: policy
   * denies it, and the log records the denial. The caller must check revocations. A key-bound token requires a proof of
   * that key. The proof works once in this process. Writes also claim it in the store, where it works once for all
   * brokers. For a write, the issuer must not have withdrawn its keys.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`, `issuer_unavailable`
   */
  authenticate(presented: RequestCredentials): Promise<Caller>;
  /** Authenticates flag readers. */
  readers: DataCallers;
  /**
   * The claims and the principal of a token, for introspection and revocation: the checks of {@link authenticate}
   * without a proof.
   *
   * @throws TokenRefused, which the caller MUST turn into its single public response
   * @throws BrokerError `issuer_unavailable`
   */
  examine(token: string): Promise<ExaminedToken>;
  /** Clears the cache of verified tokens. Happens automatically when keys change. */
  invalidate(): void;
}

/** A token profile: the issuer, the verification and the mapping to a principal. */
interface Profile {
  algorithms: readonly string[];
  keys: JWTVerifyGetKey;
  accept(typ: string | undefined, claims: VerifiedClaims): VerifiedIssuedToken;
  /** Whether the broker itself signed the token. */
  isOwn: boolean;
}

/**
 * Creates the authenticator. It looks up the issuer by the exact `iss` before any key, so a token of an unknown issuer
 * causes no fetch. A cached token costs one hash and one lookup.
 *
 * @throws Error when an issuer or its key is configured twice
 */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { clock, log } = deps;
  const examine = createExamine(profilesByIssuer(deps), clock);
  const withdrawal = new Map(deps.personIssuers.map((each) => [each.issuer, each.assertNotWithdrawn]));
  const cache = createTokenCache<VerifiedToken>({ clock, capacity: CACHE_CAPACITY });
  // One cache per plane, so that flag reads do not evict tokens of the control plane.
  const withControlProof = createProofCheck({ publicUrl: deps.issuer, clock });
  deps.keySets.onChange(cache.clear);
  deps.signingKeys.onChange(cache.clear);

  const verify = async (token: string, key: string): Promise<VerifiedToken> => {
    const generation = cache.generation();
    const { claims, ...rest } = await examine(token);
    const verified: VerifiedToken = deepFreeze(rest);
    cache.keep(key, { value: verified, expiresMs: claims.exp * 1000, generation });
    return verified;
  };

  const verifiedOf = (token: string): VerifiedToken | Promise<VerifiedToken> => {
    const key = cache.keyOf(token);
    return cache.find(key)?.value ?? verify(token, key);
  };

  const readers = createDataCallers({
    cache,
    verify,
    proofCheck: createProofCheck({ publicUrl: deps.issuer, clock }),
    revoked: deps.revoked,
    log,
  });

  return {
    examine,
    authenticate: async (presented) => {
      let scheme: Scheme = 'Bearer';
      try {
        const sent = tokenOf(presented.authorization);
        ({ scheme } = sent);
        const verified = await verifiedOf(sent.token);
        assertNotForReading(verified);
        if (!READING_METHODS.has(presented.method)) await withdrawal.get(verified.credential.issuer)?.();
        return await withControlProof(verified, sent, presented);
      } catch (error) {
        throw refusalTold(error, scheme, log);
      }
    },
    readers,
    invalidate: cache.clear,
  };
}

/** Verifies a token by the profile of its exact `iss`, which is looked up before any key. */
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
    const { origins, only_request, ...accepted } = profile.accept(form.header.typ, claims);
    const credential = {
      ...credentialOf(form, claims, isOwn),
      ...sinceSignIn(accepted.principal),
      ...(origins && { origins }),
      ...(only_request !== undefined && { only_request }),
    };
    return { ...accepted, credential, claims };
  };
}

/**
 * A token that the broker issued to a person reads flags, whatever policy makes of its audience: a person acts with their
 * own sign-in.
 *
 * @throws TokenRefused `audience_not_accepted`
 */
function assertNotForReading({ principal, credential }: VerifiedToken): void {
  if (principal.kind === 'person' && credential.kid !== null)
    throw new TokenRefused('audience_not_accepted', principal.token.audience);
}

/**
 * A provider issues new tokens for an old sign-in. What was revoked before a moment is every sign-in before it, so their
 * tokens count from the sign-in.
 *
 * @returns the member of a credential that differs; none for a principal without a sign-in
 */
export function sinceSignIn({
  auth: { auth_time_ms },
  token: { issued_ms },
}: Principal): Partial<Credential> {
  if (auth_time_ms === null || issued_ms === undefined) return {};
  return { issued_ms: Math.min(auth_time_ms, issued_ms) };
}

/** The credential of a verified token, for revocation. @param isOwn whether the broker itself signed it */
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
    // Two issuers with the same key would merge two people with the same subject into one person.
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

/** A cached object serves many requests, so it must not change. */
export function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
