import { randomUUID } from 'node:crypto';
import { BrokerError, PROBLEMS } from '../errors.ts';
import { actClaimOf } from '../identity/act.ts';
import type { Credential, Proof } from '../identity/credential.ts';
import { type ShownProof, verifyProof } from '../identity/dpop.ts';
import { dataEnvironmentOf } from '../identity/issued-token.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { type IssuedClaims, issuedPrincipal } from '../identity/workload.ts';
import type { Principal } from '../principal.ts';
import type { TrustRules } from '../trust/rules.ts';
import { agentApplicant } from './agent-applicant.ts';
import { type Applicant, workloadApplicant } from './applicant.ts';
import { originOf } from './delegation.ts';
import { ACCESS_TOKEN_TYPE, type ExchangeForm, parseExchangeForm } from './exchange-form.ts';
import {
  chooseAudience,
  chooseScope,
  demandProof,
  GrantRefused,
  grantedLifeS,
  grantedNamespaces,
} from './grant.ts';
import { OAuthError, type OAuthErrorCode } from './oauth-error.ts';
import type { SponsorDeps } from './sponsor.ts';
import type { SingleUse } from './subject.ts';

/*
 * Tokens: a platform's token for one of the broker's own (RFC 8693), delegation to agents, introspection, giving one up. Who
 * is trusted comes from `trust/`, what is signed from `keys/`.
 */

/** How often an exchange is tried while the policy changes under it. */
const MAX_TRIES = 3;

/** What policy, the record and the single use say to an exchange. */
export interface ExchangeAuthorization {
  /** `policy_changed`: another policy is active than the one whose trust rule was found. Nothing else was done. */
  answer: 'issued' | 'replayed' | 'denied' | 'policy_changed';
  /** The longest life that policy allows, in seconds. */
  token_ttl_s: number;
  policy_hash: string;
}

/** What {@link createExchange} needs. */
export interface ExchangeDeps extends SponsorDeps {
  /** The trust rules of the policy that is active now. */
  presentTrust: () => Promise<{ policy_hash: string; rules: TrustRules }>;
  /**
   * Decides `token.exchange` for the principal, records the decision and claims the single use, all in one
   * transaction, under the policy of that hash only. It MUST answer `issued` at most once for each single use, whoever
   * asks at the same time.
   */
  authorizeExchange: (asked: {
    principal: Principal;
    credential: Credential;
    singleUse: SingleUse;
    policy_hash: string;
  }) => Promise<ExchangeAuthorization>;
}

/** The answer of the token endpoint. RFC 8693 section 2.2.1 */
export interface TokenAnswer {
  access_token: string;
  issued_token_type: typeof ACCESS_TOKEN_TYPE;
  /** `DPoP` when a proof came with the request: the token counts only with proofs of that key. RFC 9449 section 5 */
  token_type: 'Bearer' | 'DPoP';
  /** Seconds. */
  expires_in: number;
  scope: string;
}

/** Exchanges a platform's token for a Countersign token. */
export interface Exchange {
  /**
   * @param body the form, as `application/x-www-form-urlencoded`
   * @param shown the proof of the key that the token is to be bound to, if there is one
   * @throws OAuthError
   */
  exchange(body: string, shown: ShownProof): Promise<TokenAnswer>;
}

/**
 * Token exchange for workloads, and for agents that act for a person: what is issued is never more than the trust rule
 * grants and the person allows, never lives longer than the rule, policy or a token that was shown says, and a platform's
 * token works once. A person's works again until it expires: without another token of the agent it is worth nothing.
 *
 * @see RFC 8693, RFC 9068
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  /** One attempt. @returns null when the policy changed between finding the rule and deciding */
  const attempt = async (form: ExchangeForm, proof: Proof | null): Promise<TokenAnswer | null> => {
    // 1. Verify the tokens, and find the rule that trusts them.
    const { policy_hash, rules } = await deps.presentTrust();
    const asked = form.audience ?? 'control';
    const applicant = await applicantOf(deps, form, { rules, audience: asked });
    // 2. Narrow the rule's grant to what is asked for.
    const audience = chooseAudience(applicant.rule, asked);
    const scope = chooseScope(applicant.rule, audience, form.scope);
    demandProof(applicant.rule, proof);
    const principal = issuedPrincipal({
      ...applicant.parts,
      audience,
      scope,
      sender_constrained: proof !== null,
    });
    // 3. Decide, record and claim the single use, of the proof too.
    const authorization = await deps.authorizeExchange({
      principal,
      credential: { ...applicant.credential, proof },
      singleUse: applicant.singleUse,
      policy_hash,
    });
    if (authorization.answer === 'policy_changed') return null;
    if (authorization.answer !== 'issued') {
      throw new TokenRefused(
        authorization.answer === 'replayed' ? 'replayed' : 'policy_denied',
        applicant.ruleName,
      );
    }
    // 4. Issue.
    return issue(deps, applicant, { principal, authorization, proof });
  };

  return {
    async exchange(body, shown) {
      const form = parseExchangeForm(body);
      const reference = randomUUID();
      if ('error' in form) throw new OAuthError(form.error, form.description, reference);
      try {
        const proof = await proofOf(deps, shown);
        for (let tries = 0; tries < MAX_TRIES; tries += 1) {
          const answer = await attempt(form, proof);
          if (answer !== null) return answer;
        }
        throw new BrokerError(
          'not_recorded',
          'The policy changed while the exchange was decided; try again.',
        );
      } catch (error) {
        throw answerTo(error, reference, deps.log);
      }
    },
  };
}

/** The proof of the key that the token is to be bound to; null when none came. @throws TokenRefused */
async function proofOf({ issuer, clock }: ExchangeDeps, shown: ShownProof): Promise<Proof | null> {
  return shown.dpop.length === 0 ? null : verifyProof(shown, { publicUrl: issuer, clock, bound: null });
}

/** An actor token makes the difference: the subject token alone is the caller's own. RFC 8693 section 2.1 */
function applicantOf(
  deps: ExchangeDeps,
  form: ExchangeForm,
  wanted: { rules: TrustRules; audience: string },
): Promise<Applicant> {
  const { subjectToken: subject, actorToken: actor } = form;
  return actor === undefined
    ? workloadApplicant(deps, subject, wanted)
    : agentApplicant(deps, { subject, actor }, wanted);
}

async function issue(
  deps: ExchangeDeps,
  { rule, ruleName, exp, credential }: Applicant,
  granted: { principal: Principal; authorization: ExchangeAuthorization; proof: Proof | null },
): Promise<TokenAnswer> {
  const { principal, authorization, proof } = granted;
  const iat = Math.floor(deps.clock() / 1000);
  const lifeS = grantedLifeS(rule, { policyTtlS: authorization.token_ttl_s, exp, iat });
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
    ...(dataEnvironmentOf(principal.token.audience) === null ? {} : { namespaces: grantedNamespaces(rule) }),
    ...(proof === null ? {} : { cnf: { jkt: proof.jkt } }),
    ...issuedFor(principal, credential),
  } satisfies IssuedClaims;
  const access_token = await deps.signingKeys.sign(issued);
  // It would be refused everywhere, so nobody is given it.
  if (access_token.length > MAX_TOKEN_BYTES) throw new TokenRefused('claims_too_large', 'issued token');
  return {
    access_token,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: proof === null ? 'Bearer' : 'DPoP',
    expires_in: lifeS,
    scope: issued.scope,
  };
}

/** What a token says of what it was issued for: an agent's of its delegation, a workload's of its platform's token. */
function issuedFor(
  { id, act, groups }: Principal,
  credential: Credential,
): Pick<IssuedClaims, 'act' | 'sponsor' | 'origin'> {
  const { origins } = credential;
  if (act === undefined || origins === undefined)
    return { origin: originOf(credential, { id, kind: 'workload' }) };
  return { act: actClaimOf(act), sponsor: { groups, origins: [...origins] } };
}

/** Every refusal that is about the token has the same answer; the log has the reason under the reference. */
function answerTo(error: unknown, reference: string, log: IdentityLog): OAuthError {
  const answer = (code: OAuthErrorCode, description: string): OAuthError =>
    new OAuthError(code, description, reference, { cause: error });
  if (error instanceof TokenRefused) {
    log.warn({ reference, reason: error.reason, note: error.note }, 'token exchange refused');
    if (error.reason === 'proof_not_accepted') {
      return answer('invalid_dpop_proof', 'the DPoP proof was not accepted');
    }
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
