import { randomUUID } from 'node:crypto';
import { BrokerError, PROBLEMS } from '../errors.ts';
import type { Credential } from '../identity/credential.ts';
import { MAX_ISSUED_LIFE_S, type SigningKeys } from '../identity/keys.ts';
import { canonicalPerson } from '../identity/person.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { scalarClaim } from '../identity/trust.ts';
import { type IssuedClaims, workloadPrincipal } from '../identity/workload.ts';
import type { Principal } from '../policy/input.ts';
import { carriedClaims } from './carried-claims.ts';
import { ACCESS_TOKEN_TYPE, type ExchangeForm, parseExchangeForm } from './exchange-form.ts';
import { chooseAudience, chooseScope, GrantRefused, grantedNamespaces } from './grant.ts';
import { OAuthError, type OAuthErrorCode } from './oauth-error.ts';
import {
  credentialOf,
  type SingleUse,
  type Subject,
  type SubjectDeps,
  singleUseOf,
  verifySubject,
} from './subject.ts';

/** What policy, the record and the single use say to an exchange. */
export interface ExchangeAuthorization {
  outcome: 'issued' | 'replayed' | 'denied';
  /** The longest life that policy allows, in seconds. */
  token_ttl_s: number;
  policy_hash: string;
}

/** What {@link createExchange} needs. */
export interface ExchangeDeps extends SubjectDeps {
  signingKeys: SigningKeys;
  /**
   * Decides `token.exchange` for the principal, records the decision and claims the single use, all in one
   * transaction. It MUST answer `issued` at most once for each single use, whoever asks at the same time.
   */
  authorizeExchange: (asked: {
    principal: Principal;
    credential: Credential;
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

/**
 * Token exchange for workloads: what is issued is never more than the trust rule grants, never lives longer than the
 * rule, policy or the subject token says, and a subject token works once.
 *
 * @see RFC 8693, RFC 9068
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  const exchange = async (form: ExchangeForm): Promise<TokenAnswer> => {
    // 1. Verify the subject token, and find the rule that trusts it.
    const asked = form.audience ?? 'control';
    const subject = await verifySubject(deps, form.subjectToken, asked);
    // 2. Narrow the rule's grant to what is asked for.
    const audience = chooseAudience(subject.rule, asked);
    const scope = chooseScope(subject.rule, audience, form.scope);
    const principal = principalOf(subject, audience, scope);
    // 3. Decide, record and claim the single use.
    const authorization = await deps.authorizeExchange({
      principal,
      credential: credentialOf(subject),
      singleUse: singleUseOf(subject),
    });
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
    issued_ms: Math.floor(claims.iat * 1000),
  });
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
  // Refused again inside the transaction: revoked since it was verified.
  if (error instanceof BrokerError && error.cause instanceof TokenRefused) {
    return answerTo(error.cause, reference, log);
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
