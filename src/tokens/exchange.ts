import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { actClaimOf } from '../identity/act.ts';
import type { Credential, Proof } from '../identity/credential.ts';
import { type ShownProof, verifyProof } from '../identity/dpop.ts';
import { dataEnvironmentOf } from '../identity/issued-token.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import type { IssuedClaims } from '../identity/workload.ts';
import type { Sign } from '../keys/signing-keys.ts';
import type { Principal } from '../principal.ts';
import { PROBLEMS } from '../problems.ts';
import type { TrustRule, TrustRules } from '../trust/rules.ts';
import { agentApplicant } from './agent-applicant.ts';
import { type Applicant, type PersonApplicant, principalOf, workloadApplicant } from './applicant.ts';
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
import { isOfPerson, type PersonDeps, personApplicant } from './person-applicant.ts';
import type { SponsorDeps } from './sponsor.ts';
import type { SingleUse } from './subject.ts';

/*
 * Tokens: exchange of platform tokens (RFC 8693), delegation to agents, introspection and revocation by the holder.
 * `trust/` defines who is trusted, `keys/` signs.
 */

/** The maximum number of attempts when the policy changes during an exchange. */
const MAX_TRIES = 3;

/** The result of authorizing an exchange. */
export interface ExchangeAuthorization {
  /** `policy_changed`: the active policy is no longer the one with the trust rule. Nothing else was done. */
  answer: 'issued' | 'replayed' | 'denied' | 'policy_changed';
  /** The maximum lifetime that policy allows, in seconds. */
  token_ttl_s: number;
  policy_hash: string;
}

/** What {@link createExchange} needs. */
export interface ExchangeDeps extends SponsorDeps, PersonDeps {
  /** The trust rules of the active policy. */
  presentTrust: () => Promise<{ policy_hash: string; rules: TrustRules }>;
  /** Exchanges the token of a job for one that follows a request. @throws TokenRefused, GrantRefused, BrokerError */
  followRequest: (asked: { token: string; resource: string; proof: Proof | null }) => Promise<TokenAnswer>;
  /**
   * Decides `token.exchange` for the principal, records the decision and claims the use of the token, all in one
   * transaction, only under the policy with that hash. It MUST return `issued` for each token at most as often as its rule
   * allows, even for concurrent callers: once, unless the rule grants nothing but reads.
   */
  authorizeExchange: (asked: {
    principal: Principal;
    credential: Credential;
    /** Null for a token that works until it expires. */
    use: { token: SingleUse; ruleName: string; rule: TrustRule } | null;
    policy_hash: string;
  }) => Promise<ExchangeAuthorization>;
}

/** The response of the token endpoint. RFC 8693 section 2.2.1 */
export const tokenAnswerSchema = z
  .object({
    access_token: z.string(),
    issued_token_type: z.literal(ACCESS_TOKEN_TYPE),
    token_type: z.enum(['Bearer', 'DPoP']).meta({
      description:
        '`DPoP` if the request had a proof: the token is then valid only with proofs of that key. RFC 9449 section 5',
    }),
    expires_in: z.int().meta({ description: 'Seconds.' }),
    scope: z.string().meta({ description: 'Operation names separated by single spaces; may be empty.' }),
  })
  .meta({ id: 'TokenAnswer' });
export type TokenAnswer = z.infer<typeof tokenAnswerSchema>;

/** Exchanges a platform's token for a Countersign token. */
export interface Exchange {
  /**
   * @param body the form, as `application/x-www-form-urlencoded`
   * @param shown the proof of the key to bind the token to, if any
   * @throws OAuthError
   */
  exchange(body: string, shown: ShownProof): Promise<TokenAnswer>;
}

/**
 * Token exchange for workloads, for agents that act for a person, and for persons who run an application. The issued token never exceeds the grant of the
 * trust rule or what the person allows. It never outlives the limits of the rule, of policy or of a presented token. A
 * platform's token works once, except under a rule that grants nothing but reads. A person's token works until it expires: for
 * an agent, only together with a fresh token of the agent; by itself, only for reading flags.
 *
 * @see RFC 8693, RFC 9068
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  /** One attempt. @returns null when the policy changed between finding the rule and deciding */
  const attempt = async (form: ExchangeForm, proof: Proof | null): Promise<TokenAnswer | null> => {
    // 1. Verify the tokens, and find the matching trust rule.
    const { policy_hash, rules } = await deps.presentTrust();
    const asked = form.audience ?? 'control';
    const applicant = await applicantOf(deps, form, { rules, audience: asked });
    // 2. Narrow the rule's grant to what is requested.
    const audience = chooseAudience(applicant.rule, asked);
    const scope = chooseScope(applicant.rule, audience, form.scope);
    demandProof(applicant.rule, proof);
    const principal = principalOf(applicant, { audience, scope, sender_constrained: proof !== null });
    const sign = await deps.signingKeys.signer();
    // 3. Decide, record and claim the single use, of the proof too.
    const authorization = await deps.authorizeExchange({
      principal,
      credential: { ...applicant.credential, proof },
      use: useOf(applicant),
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
    return issue(deps, applicant, { principal, authorization, proof, sign });
  };

  return {
    async exchange(body, shown) {
      const form = parseExchangeForm(body);
      const reference = randomUUID();
      if ('error' in form) throw new OAuthError(form.error, form.description, reference);
      try {
        const proof = await proofOf(deps, shown);
        if (form.follows !== undefined) {
          return await deps.followRequest({ token: form.subjectToken, resource: form.follows, proof });
        }
        for (let tries = 0; tries < MAX_TRIES; tries += 1) {
          const answer = await attempt(form, proof);
          if (answer !== null) return answer;
        }
        throw new BrokerError('not_recorded', 'The policy changed during the exchange. Try again.');
      } catch (error) {
        throw answerTo(error, reference, deps.log);
      }
    },
  };
}

/** The proof of the key to bind the token to; null without a proof. @throws TokenRefused */
async function proofOf({ issuer, clock }: ExchangeDeps, shown: ShownProof): Promise<Proof | null> {
  return shown.dpop.length === 0 ? null : verifyProof(shown, { publicUrl: issuer, clock, bound: null });
}

/** Without an actor token, the subject token is the caller's own. RFC 8693 section 2.1 */
function applicantOf(
  deps: ExchangeDeps,
  form: ExchangeForm,
  wanted: { rules: TrustRules; audience: string },
): Promise<Applicant | PersonApplicant> {
  const { subjectToken: subject, actorToken: actor } = form;
  if (actor !== undefined) return agentApplicant(deps, { subject, actor }, wanted);
  const environment = dataEnvironmentOf(wanted.audience);
  return environment !== null && isOfPerson(deps, subject)
    ? personApplicant(deps, subject, environment)
    : workloadApplicant(deps, subject, wanted);
}

function useOf({
  singleUse,
  ruleName,
  rule,
}: Applicant | PersonApplicant): { token: SingleUse; ruleName: string; rule: TrustRule } | null {
  return singleUse === null ? null : { token: singleUse, ruleName, rule };
}

async function issue(
  deps: ExchangeDeps,
  { rule, ruleName, exp, credential }: Applicant | PersonApplicant,
  granted: { principal: Principal; authorization: ExchangeAuthorization; proof: Proof | null; sign: Sign },
): Promise<TokenAnswer> {
  const { principal, authorization, proof, sign } = granted;
  const iat = Math.floor(deps.clock() / 1000);
  const lifeS = grantedLifeS(rule, { policyTtlS: authorization.token_ttl_s, exp, iat });
  if (!(lifeS >= 1)) throw new TokenRefused('expired', 'no lifetime left');
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
    ...(principal.token.trust_rule === null ? {} : { trust_rule: principal.token.trust_rule }),
    subject_issuer: principal.issuer,
    claims: principal.claims,
    person: principal.person,
    ...(principal.started_by && { started_by: principal.started_by }),
    ...(dataEnvironmentOf(principal.token.audience) === null ? {} : { namespaces: grantedNamespaces(rule) }),
    ...(proof === null ? {} : { cnf: { jkt: proof.jkt } }),
    ...issuedFor(principal, credential),
  } satisfies IssuedClaims;
  const access_token = await sign(issued);
  // A longer token would be refused everywhere, so it is not issued.
  if (access_token.length > MAX_TOKEN_BYTES) throw new TokenRefused('claims_too_large', 'issued token');
  return {
    access_token,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: proof === null ? 'Bearer' : 'DPoP',
    expires_in: lifeS,
    scope: issued.scope,
  };
}

/** The provenance claims of a token: the delegation for an agent, otherwise the token that was exchanged. */
function issuedFor(
  { id, kind, act, groups }: Principal,
  credential: Credential,
): Pick<IssuedClaims, 'act' | 'sponsor' | 'origin'> {
  const { origins } = credential;
  if (act === undefined || origins === undefined)
    return { origin: originOf(credential, { id, kind: kind === 'person' ? 'person' : 'workload' }) };
  return { act: actClaimOf(act), sponsor: { groups, origins: [...origins] } };
}

/** Every refusal of a token has the same response. The log has the reason under the reference. */
function answerTo(error: unknown, reference: string, log: IdentityLog): OAuthError {
  const answer = (code: OAuthErrorCode, description: string): OAuthError =>
    new OAuthError(code, description, reference, { cause: error });
  if (error instanceof TokenRefused) {
    log.warn({ reference, reason: error.reason, note: error.note }, 'token exchange refused');
    if (error.reason === 'proof_not_accepted') {
      return answer('invalid_dpop_proof', 'the DPoP proof was not accepted');
    }
    if (error.reason === 'claim_left_out') {
      return answer(
        'invalid_request',
        'the identity provider left claims out of the subject token because they are too large, see claims_incomplete in the documentation',
      );
    }
    return answer('invalid_request', 'the subject token was not accepted');
  }
  // Revoked between verification and the transaction.
  if (error instanceof BrokerError && error.cause instanceof TokenRefused) {
    return answerTo(error.cause, reference, log);
  }
  if (error instanceof GrantRefused) {
    log.warn({ reference, reason: error.code }, 'token exchange refused');
    return answer(error.code, error.message);
  }
  if (error instanceof BrokerError && PROBLEMS[error.code].status !== 500) {
    log.warn({ reference, code: error.code }, 'token exchange unavailable');
    return answer(
      'temporarily_unavailable',
      'the exchange is temporarily unavailable, try again in a few seconds',
    );
  }
  log.error({ reference, err: error }, 'token exchange failed');
  return answer('server_error', 'internal error');
}
