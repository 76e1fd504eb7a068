import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.ts';
import type { AuthenticateReader, ByToken } from '../data/credentials.ts';
import { BrokerError } from '../errors.ts';
import { credentialOf, deepFreeze } from '../identity/authenticate.ts';
import type { Caller, VerifiedToken } from '../identity/credential.ts';
import { createDataCallers } from '../identity/data-callers.ts';
import { dataEnvironmentOf, ISSUED_ALGORITHM } from '../identity/issued-token.ts';
import { createProofCheck } from '../identity/proof-check.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { covers, shownBy } from '../identity/revocable.ts';
import { dataToken } from '../identity/shown-token.ts';
import { createTokenCache } from '../identity/token-cache.ts';
import { parseTokenForm, type TokenForm, tokenTypeOf, typeRefused } from '../identity/token-form.ts';
import { type VerifiedClaims, verifyToken } from '../identity/verify-token.ts';
import { issuedPrincipal, verifiedIssued } from '../identity/workload.ts';
import { foldPerson } from '../person-name.ts';
import { type ReaderRule, type ReadersClaims, revokedName } from '../snapshot/readers.ts';
import { matchTrustRule } from '../trust/match.ts';
import { assertNotOfPeople, issuerOf, verifyByRules } from '../trust/platform-token.ts';
import { type TrustRule, trustRuleSchema } from '../trust/rules.ts';
import { startersOf, workloadId } from '../trust/workload.ts';

/*
 * Who reads at a relay: verified by what the broker signed last, without asking it. Tokens of the broker are verified as the
 * broker does, and tokens of platforms by the trust rules themselves, because nobody exchanges them while the broker is away.
 */

/** The maximum number of tokens that are cached, and of those that are refused. */
const CACHE_CAPACITY = 10_000;

/** How long a refused token is refused again without being verified. What is taken over ends it at once. */
const REFUSED_MS = 30_000;

/** What {@link createReaders} needs. */
export interface ReadersDeps {
  /** The environments that the relay serves. */
  environments: readonly string[];
  /** The relay's own public URL, which proofs of key-bound tokens name. */
  publicUrl: string;
  clock: Clock;
  log: IdentityLog;
}

/** Who may read, by the lists that were taken over last. */
export interface Readers {
  /**
   * Authenticates a reader of one of the environments.
   *
   * @throws BrokerError `unauthenticated` and `token_invalid` as at the broker; `flags_not_loaded` as long as the list that
   *   would tell is missing or has expired
   */
  readonly authenticate: AuthenticateReader;
  /** The same for streams: they need no proof of a bound key, which whoever asks has required before. */
  readonly byToken: ByToken;
  /** Takes over a list that was verified, in place of the one before. */
  take(claims: ReadersClaims): void;
  /** What is in use, by environment. */
  known(environment: string): ReadersClaims | undefined;
}

/** A list in use. */
interface Known {
  readonly claims: ReadersClaims;
  readonly rules: Readonly<Record<string, TrustRule>>;
  readonly ownKeys: JWTVerifyGetKey;
  readonly issuers: ReadonlyMap<string, KnownIssuer>;
  readonly revoked: ReadonlyMap<string, number | null>;
  /** What was found for a caller: the same one reads thousands of times. */
  readonly judged: WeakMap<Caller, { kind: string } | null>;
}

interface KnownIssuer {
  readonly algorithms: readonly string[];
  /** Null: neither this list nor one before it had them. */
  readonly jwks: JSONWebKeySet | null;
  readonly keys: JWTVerifyGetKey;
  readonly people: readonly string[];
}

/** Creates it, without any list yet. */
export function createReaders({ environments, publicUrl, clock, log }: ReadersDeps): Readers {
  const lists = new Map<string, Known>();
  const cache = createTokenCache<VerifiedToken>({ clock, capacity: CACHE_CAPACITY });
  const refused = createTokenCache<TokenRefused>({ clock, capacity: CACHE_CAPACITY });

  /** The list of an environment. @throws BrokerError `flags_not_loaded` */
  function listOf(environment: string): Known {
    const list = lists.get(environment);
    if (list === undefined || list.claims.exp * 1000 <= clock()) throw notKnown(environment, list);
    return list;
  }

  async function verifyAnew(token: string, key: string): Promise<VerifiedToken> {
    const generation = cache.generation();
    try {
      const { verified, exp } = await examine(token);
      cache.keep(key, { value: deepFreeze(verified), expiresMs: exp * 1000, generation });
      return verified;
    } catch (error) {
      if (error instanceof TokenRefused)
        refused.keep(key, {
          value: error,
          expiresMs: clock() + REFUSED_MS,
          generation: refused.generation(),
        });
      throw error;
    }
  }

  async function examine(token: string): Promise<{ verified: VerifiedToken; exp: number }> {
    const { unverified } = parseTokenForm(token);
    const { iss, aud } = unverified;
    const environment = typeof aud === 'string' ? dataEnvironmentOf(aud) : null;
    // A token of the broker names its environment.
    if (environment !== null && environments.includes(environment)) {
      const list = listOf(environment);
      if (iss === list.claims.tokens.issuer) return examineOwn(token, list);
    }
    return examineOfPlatform(token, unverified);
  }

  async function examineOwn(
    token: string,
    { claims: list, ownKeys }: Known,
  ): Promise<{ verified: VerifiedToken; exp: number }> {
    const form = parseTokenForm(token);
    if (tokenTypeOf(form.header.typ) !== 'access_token') throw typeRefused(form.header.typ);
    const claims = await verifyToken(token, form, {
      issuer: list.tokens.issuer,
      algorithms: [ISSUED_ALGORITHM],
      keys: ownKeys,
      mayBeBound: true,
      clock,
    });
    const { origins, only_request: _, ...accepted } = verifiedIssued(claims);
    const credential = { ...credentialOf(form, claims, true), ...(origins && { origins }) };
    return { verified: { ...accepted, credential }, exp: claims.exp };
  }

  async function examineOfPlatform(
    token: string,
    unverified: TokenForm['unverified'],
  ): Promise<{ verified: VerifiedToken; exp: number }> {
    const issuer = issuerOf(unverified);
    const missing: string[] = [];
    const found: { verified: VerifiedToken; exp: number }[] = [];
    for (const environment of environments) {
      const list = lists.get(environment);
      if (list === undefined || list.claims.exp * 1000 <= clock()) missing.push(environment);
      else if (issuer !== null && list.issuers.has(issuer)) {
        const matched = await matchIn(list, token);
        if (matched !== null) found.push(matched);
      }
    }
    const [only, ...others] = found;
    // A platform's token names no environment, so one that could read several reads none: guessing would be worse.
    if (others.length > 0) throw new TokenRefused('audience_not_accepted', 'several environments');
    if (only !== undefined) return only;
    const [first] = missing;
    if (first !== undefined) throw notKnown(first, lists.get(first));
    throw new TokenRefused(issuer === null ? 'issuer_not_accepted' : 'no_trust_rule');
  }

  /** The reader that a platform's token is in one environment, or null without a rule. @throws TokenRefused */
  async function matchIn(
    { claims: list, rules, issuers }: Known,
    token: string,
  ): Promise<{ verified: VerifiedToken; exp: number } | null> {
    const { claims, form } = await verifyByRules(token, {
      issuer: list.tokens.issuer,
      isTrusted: (issuer) => issuers.has(issuer),
      keysOf: (issuer) => {
        const known = issuers.get(issuer);
        if (known === undefined) throw new TokenRefused('issuer_not_accepted');
        return known;
      },
      clock,
    });
    assertNotOfPeople(claims, issuers.get(claims.iss)?.people ?? []);
    const [ruleName] = matchTrustRule(rules, claims).matched;
    const rule = ruleName === undefined ? undefined : rules[ruleName];
    if (ruleName === undefined || rule === undefined) return null;
    return {
      verified: readerOf({ claims, form }, { ruleName, rule, environment: list.environment }),
      exp: claims.exp,
    };
  }

  /** The revocation that applies. */
  function revoked(caller: Caller): { kind: string } | null {
    const environment = dataEnvironmentOf(caller.principal.token.audience);
    const list = environment === null ? undefined : lists.get(environment);
    if (list === undefined || list.revoked.size === 0) return null;
    let hit = list.judged.get(caller);
    if (hit === undefined) {
      hit = findHit(list, caller);
      list.judged.set(caller, hit);
    }
    return hit;
  }

  const callers = createDataCallers({
    cache,
    verify: (token, key) => {
      const former = refused.find(key);
      if (former !== undefined) throw former.value;
      return verifyAnew(token, key);
    },
    proofCheck: createProofCheck({ publicUrl, clock }),
    revoked,
    log,
  });

  return {
    authenticate: (credentials) => {
      // Before anything is known, a refusal would be final for many clients.
      if (lists.size === 0) throw notKnown(environments.join(', '), undefined);
      const reader = callers.authenticate(credentials);
      return reader instanceof Promise ? reader.then(stillKnown) : stillKnown(reader);
    },
    byToken: {
      tokenOf: (credentials) => dataToken(credentials).token,
      follow: async (token) => {
        const { caller, ...rest } = await callers.follow(token);
        return { reader: stillKnown(caller), ...rest };
      },
    },
    take: (claims) => {
      lists.set(claims.environment, open(claims, lists.get(claims.environment)));
      cache.clear();
      refused.clear();
    },
    known: (environment) => lists.get(environment)?.claims,
  };

  /** A cached token is no longer believed than the list. @throws BrokerError `flags_not_loaded` */
  function stillKnown<Reader extends { environment: string }>(reader: Reader): Reader {
    listOf(reader.environment);
    return reader;
  }

  function open(claims: ReadersClaims, former: Known | undefined): Known {
    const issuers = claims.issuers.map((each): [string, KnownIssuer] => {
      // Null: the broker does not know them at the moment.
      const given = each.jwks as JSONWebKeySet | null;
      const jwks = given ?? former?.issuers.get(each.issuer)?.jwks ?? null;
      const { algorithms, people } = each;
      return [each.issuer, { algorithms, people, jwks, keys: jwks === null ? unknownKeys : findIn(jwks) }];
    });
    return {
      claims,
      rules: rulesOf(claims, log),
      ownKeys: findIn(claims.tokens.jwks as unknown as JSONWebKeySet),
      issuers: new Map(issuers),
      revoked: new Map(claims.revoked),
      judged: new WeakMap(),
    };
  }
}

/** Finds keys as issuers' sets do. */
function findIn(jwks: JSONWebKeySet): JWTVerifyGetKey {
  const find = createLocalJWKSet(jwks);
  return async (header, token) => {
    try {
      return await find(header, token);
    } catch (error) {
      throw new TokenRefused('key_not_found', undefined, error);
    }
  };
}

async function unknownKeys(): Promise<never> {
  throw unavailable('The keys of the issuer of the token are not known here yet.');
}

/** The rules of a list. One of an unknown form, of a newer broker, matches nothing. */
function rulesOf({ rules, environment }: ReadersClaims, log: IdentityLog): Record<string, TrustRule> {
  const known = rules.flatMap((rule) => {
    const parsed = trustRuleSchema.safeParse(toTrustRule(rule, environment));
    if (parsed.success) return [[rule.name, parsed.data] as const];
    log.warn(
      { rule: rule.name },
      'a trust rule of a newer broker is not understood, and matches nothing here',
    );
    return [];
  });
  return Object.fromEntries(known);
}

function toTrustRule({ name: _, namespaces, ...rule }: ReaderRule, environment: string): unknown {
  const grant = { operations: [], environments: [], namespaces, token_ttl_s: 1 };
  return { ...rule, grant: { ...grant, audiences: [`data:${environment}`] } };
}

/** The reader that a platform's token is under a rule: the same principal as after an exchange. */
function readerOf(
  { claims, form }: { claims: VerifiedClaims; form: TokenForm },
  { ruleName, rule, environment }: { ruleName: string; rule: TrustRule; environment: string },
): VerifiedToken {
  const [person = null, ...started_by] = startersOf({ rule, claims });
  const principal = issuedPrincipal({
    id: workloadId(ruleName, claims.sub),
    person,
    started_by,
    issuer: claims.iss,
    // Policy is not asked here, and nothing else reads them.
    claims: {},
    audience: `data:${environment}`,
    scope: [],
    trust_rule: ruleName,
    issued_ms: Math.floor(claims.iat * 1000),
    sender_constrained: false,
    delegation: null,
  });
  const credential = { ...credentialOf(form, claims, false), session: null };
  return { principal, credential, namespaces: rule.grant.namespaces, jkt: null };
}

function findHit({ claims: { origin }, revoked }: Known, caller: Caller): { kind: string } | null {
  for (const { names, issued_ms } of shownBy(caller, foldPerson)) {
    for (const name of names) {
      const before = revoked.get(revokedName(origin, name));
      if (before !== undefined && covers({ issued_before_ms: before }, issued_ms))
        return { kind: name.slice(0, name.indexOf(' ')) };
    }
  }
  return null;
}

function notKnown(environment: string, list: Known | undefined): BrokerError {
  const why =
    list === undefined
      ? 'The relay has no list of the readers yet'
      : 'The list of the readers has expired, because the broker has not been reached for too long';
  return unavailable(`${why} (${environment}).`);
}

function unavailable(why: string): BrokerError {
  return new BrokerError('flags_not_loaded', `${why} Try again.`, { headers: { 'Retry-After': '1' } });
}
