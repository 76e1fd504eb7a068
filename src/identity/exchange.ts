import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { BrokerError, PROBLEMS } from '../errors.ts';
import { sha256Hex } from '../json.ts';
import type { Principal } from '../policy/input.ts';
import { carriedClaims } from './carried-claims.ts';
import { ACCESS_TOKEN_TYPE, type ExchangeForm, parseExchangeForm } from './exchange-form.ts';
import { type WorkloadIssuer, workloadIssuerSchema } from './issuers.ts';
import type { KeySets } from './jwks.ts';
import { MAX_ISSUED_LIFE_S, type SigningKeys } from './keys.ts';
import { OAuthError, type OAuthErrorCode } from './oauth-error.ts';
import { canonicalPerson } from './person.ts';
import { type IdentityLog, TokenRefused } from './refusal.ts';
import { parseTokenForm, type TokenForm, tokenTypeOf } from './token-form.ts';
import { matchTrustRule, scalarClaim, type TrustRule, type TrustRules } from './trust.ts';
import { LEEWAY_S, type VerifiedClaims, verifyToken } from './verify-token.ts';
import { type IssuedClaims, workloadPrincipal } from './workload.ts';

/** How long the single use of a subject token is remembered beyond its `exp`, in milliseconds. */
const SINGLE_USE_MARGIN_MS = (LEEWAY_S + 5) * 1000;

/** The single use that an exchange claims: a second one with the same issuer and jti is a replay. */
export interface SingleUse {
  issuer: string;
  jti: string;
  /** When the subject token can't be accepted any more, so that the claim may be forgotten. */
  expires_ms: number;
}

/** What policy, the record and the single use say to an exchange. */
export interface ExchangeAuthorization {
  outcome: 'issued' | 'replayed' | 'denied';
  /** The longest life that policy allows, in seconds. */
  token_ttl_s: number;
  policy_hash: string;
}

/** What {@link createExchange} needs. */
export interface ExchangeDeps {
  /** The broker's public URL: the `iss` of issued tokens. */
  issuer: string;
  /** The trust rules of the active policy bundle. */
  trustRules: () => TrustRules;
  workloadIssuers: readonly WorkloadIssuer[];
  keySets: KeySets;
  signingKeys: SigningKeys;
  clock: Clock;
  log: IdentityLog;
  /**
   * Decides `token.exchange` for the principal, records the decision and claims the single use, all in one
   * transaction. It MUST answer `issued` at most once for each single use, whoever asks at the same time.
   */
  authorizeExchange: (asked: {
    principal: Principal;
    singleUse: SingleUse;
  }) => Promise<ExchangeAuthorization>;
}

/** The answer of the token endpoint. RFC 8693 section 2.2.1 */
export interface TokenAnswer {
  access_token: string;
  issued_token_type: typeof ACCESS_TOKEN_TYPE;
  token_type: 'Bearer';
  /** Seconds. */
  expires_in: number;
  scope: string;
}

/** Exchanges a platform's token for a Countersign token. */
export interface Exchange {
  /**
   * @param body the form, as `application/x-www-form-urlencoded`
   * @throws OAuthError
   */
  exchange(body: string): Promise<TokenAnswer>;
}

/** A verified subject token with the rule that it is exchanged under. */
interface Subject {
  claims: VerifiedClaims;
  form: TokenForm;
  rule: TrustRule;
  ruleName: string;
}

/** A fault of what was asked for, found only after the token was verified: it may be told. */
class GrantRefused extends Error {
  readonly code: 'invalid_target' | 'invalid_scope';

  constructor(code: 'invalid_target' | 'invalid_scope', description: string) {
    super(description);
    this.name = 'GrantRefused';
    this.code = code;
  }
}

/**
 * Token exchange for workloads: what is issued is never more than the trust rule grants, never lives longer than the
 * rule, policy or the subject token says, and a subject token works once.
 *
 * @see RFC 8693, RFC 9068
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  const exchange = async (form: ExchangeForm): Promise<TokenAnswer> => {
    // 1. Verify the subject token, and find the rule that trusts it.
    const subject = await verifySubject(deps, form);
    // 2. Narrow the rule's grant to what is asked for.
    const audience = chooseAudience(subject.rule, form.audience);
    const scope = chooseScope(subject.rule, audience, form.scope);
    const principal = principalOf(subject, audience, scope);
    // 3. Decide, record and claim the single use.
    const authorization = await deps.authorizeExchange({ principal, singleUse: singleUseOf(subject) });
    if (authorization.outcome !== 'issued') {
      throw new TokenRefused(
        authorization.outcome === 'replayed' ? 'replayed' : 'policy_denied',
        subject.ruleName,
      );
    }
    // 4. Issue.
    return issue(deps, subject, principal, authorization);
  };

  return {
    async exchange(body) {
      const form = parseExchangeForm(body);
      const reference = randomUUID();
      if ('error' in form) throw new OAuthError(form.error, form.description, reference);
      try {
        return await exchange(form);
      } catch (error) {
        throw answerTo(error, reference, deps.log);
      }
    },
  };
}

/** @throws TokenRefused for an issuer that a trust rule names, but whose keys may not be fetched (plain http, say) */
function settingsOf(configured: readonly WorkloadIssuer[], issuer: string): WorkloadIssuer {
  const found = configured.find((settings) => settings.issuer === issuer);
  if (found !== undefined) return found;
  const settings = workloadIssuerSchema.safeParse({ issuer });
  if (!settings.success) throw new TokenRefused('issuer_not_accepted', 'it is not under workload_issuers');
  return settings.data;
}

async function verifySubject(deps: ExchangeDeps, asked: ExchangeForm): Promise<Subject> {
  const form = parseTokenForm(asked.subjectToken);
  if (tokenTypeOf(form.header.typ) !== 'jwt') throw new TokenRefused('type_not_accepted');
  const { iss } = form.unverified;
  const rules = deps.trustRules();
  const isTrusted = Object.values(rules).some((rule) => rule.issuer === iss);
  if (typeof iss !== 'string' || iss === deps.issuer || !isTrusted)
    throw new TokenRefused('issuer_not_accepted');

  const settings = settingsOf(deps.workloadIssuers, iss);
  const claims = await verifyToken(asked.subjectToken, form, {
    issuer: iss,
    algorithms: settings.algorithms,
    keys: deps.keySets.keysOf(settings),
    clock: deps.clock,
  });
  // Within the leeway it would still verify, but nothing issued could live.
  if (claims.exp * 1000 < deps.clock() + 1000) throw new TokenRefused('expired', 'exp');

  const { matched, missed } = matchTrustRule(rules, claims);
  if (matched.length === 0) {
    deps.log.warn({ issuer: iss, missed }, 'no trust rule matches');
    throw new TokenRefused('no_trust_rule');
  }
  const ruleName =
    matched.find((name) => rules[name]?.grant.audiences.includes(asked.audience ?? 'control')) ?? matched[0];
  const rule = ruleName === undefined ? undefined : rules[ruleName];
  if (ruleName === undefined || rule === undefined) throw new TokenRefused('no_trust_rule');
  return { claims, form, rule, ruleName };
}

function chooseAudience(rule: TrustRule, asked: string | undefined): string {
  const audience = asked ?? 'control';
  if (!rule.grant.audiences.includes(audience)) {
    throw new GrantRefused('invalid_target', 'the trust rule does not grant this audience');
  }
  return audience;
}

function chooseScope(rule: TrustRule, audience: string, asked: string[] | undefined): string[] {
  const granted: readonly string[] = rule.grant.operations;
  // Reading flags takes no operation of the control plane, so an application's token has none unless it asks.
  const scope = asked ?? (audience.startsWith('data:') ? [] : [...granted]);
  if (!scope.every((operation) => granted.includes(operation))) {
    throw new GrantRefused('invalid_scope', 'the trust rule does not grant every operation in scope');
  }
  if (scope.length === 0 && !audience.startsWith('data:')) {
    throw new GrantRefused('invalid_scope', 'the trust rule grants no operation for this audience');
  }
  return scope;
}

function principalOf({ claims, rule, ruleName }: Subject, audience: string, scope: string[]): Principal {
  const triggeredBy = rule.person && scalarClaim(claims, rule.person.claim);
  return workloadPrincipal({
    id: `workload:${ruleName}:${claims.sub}`,
    person: rule.person && triggeredBy ? canonicalPerson(`${rule.person.prefix}${triggeredBy}`) : null,
    issuer: claims.iss,
    claims: carriedClaims(rule, claims),
    audience,
    scope,
    trust_rule: ruleName,
  });
}

function singleUseOf({ claims, form }: Subject): SingleUse {
  const { jti } = claims;
  const hasId = Object.hasOwn(claims, 'jti');
  if (hasId && (typeof jti !== 'string' || jti === '' || jti.length > 512))
    throw new TokenRefused('claim_shape', 'jti');
  return {
    issuer: claims.iss,
    // An ECDSA signature has two valid forms, so the hash is over what is signed, not over the token.
    jti: typeof jti === 'string' ? `jti:${jti}` : `sha256:${sha256Hex(form.signingInput)}`,
    expires_ms: Math.ceil(claims.exp * 1000) + SINGLE_USE_MARGIN_MS,
  };
}

/** Equal grants are equal lists, because readers of the same namespaces share what is served to them. */
function grantedNamespaces({ grant }: TrustRule): string[] {
  return grant.namespaces.includes('*') ? ['*'] : [...new Set(grant.namespaces)].sort();
}

async function issue(
  deps: ExchangeDeps,
  { claims, rule, ruleName }: Subject,
  principal: Principal,
  authorization: ExchangeAuthorization,
): Promise<TokenAnswer> {
  const iat = Math.floor(deps.clock() / 1000);
  const lifeS = Math.floor(
    Math.min(rule.grant.token_ttl_s, authorization.token_ttl_s, MAX_ISSUED_LIFE_S, claims.exp - iat),
  );
  if (!(lifeS >= 1)) throw new TokenRefused('expired', 'no life is left');
  const issued = {
    iss: deps.issuer,
    aud: principal.token.audience,
    sub: principal.id,
    client_id: ruleName,
    iat,
    exp: iat + lifeS,
    jti: randomUUID(),
    scope: principal.token.scope.join(' '),
    policy_hash: authorization.policy_hash,
    trust_rule: ruleName,
    subject_issuer: principal.issuer,
    claims: principal.claims,
    person: principal.person,
    ...(principal.token.audience.startsWith('data:') ? { namespaces: grantedNamespaces(rule) } : {}),
  } satisfies IssuedClaims;
  return {
    access_token: await deps.signingKeys.sign(issued),
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: 'Bearer',
    expires_in: lifeS,
    scope: issued.scope,
  };
}

/** Every refusal that is about the token has the same answer; the log has the reason under the reference. */
function answerTo(error: unknown, reference: string, log: IdentityLog): OAuthError {
  const answer = (code: OAuthErrorCode, description: string): OAuthError =>
    new OAuthError(code, description, reference);
  if (error instanceof TokenRefused) {
    log.warn({ reference, reason: error.reason, note: error.note }, 'token exchange refused');
    return answer('invalid_request', 'the subject token was not accepted');
  }
  if (error instanceof GrantRefused) {
    log.warn({ reference, reason: error.code }, 'token exchange refused');
    return answer(error.code, error.message);
  }
  if (error instanceof BrokerError && PROBLEMS[error.code].status !== 500) {
    log.warn({ reference, code: error.code }, 'token exchange unavailable');
    return answer('temporarily_unavailable', 'the exchange is not possible now, try again in a few seconds');
  }
  log.error({ reference, err: error }, 'token exchange failed');
  return answer('server_error', 'something went wrong inside the broker');
}
