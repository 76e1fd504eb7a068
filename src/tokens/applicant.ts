import type { Credential } from '../identity/credential.ts';
import { canonicalPerson } from '../identity/person.ts';
import type { IssuedParts } from '../identity/workload.ts';
import { scalarClaim, type TrustRule } from '../trust/rules.ts';
import { carriedClaims } from './carried-claims.ts';
import {
  platformCredential,
  type SingleUse,
  type Subject,
  type SubjectDeps,
  singleUseOf,
  verifySubject,
  type WantedRule,
} from './subject.ts';

/** Who asks for a token, verified, and what the token may be at most. */
export interface Applicant {
  ruleName: string;
  /** The trust rule; for an agent narrowed to what the person allows whom it acts for. */
  rule: TrustRule;
  /** What makes the principal, but for what follows from what is asked for. */
  parts: Omit<IssuedParts, 'audience' | 'scope' | 'sender_constrained'>;
  credential: Credential;
  singleUse: SingleUse;
  /** When the first of the tokens that were shown expires, in seconds since the epoch. */
  exp: number;
}

/**
 * A workload that asks for itself.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function workloadApplicant(
  deps: SubjectDeps,
  subjectToken: string,
  wanted: Pick<WantedRule, 'rules' | 'audience'>,
): Promise<Applicant> {
  return applicantOf(await verifySubject(deps, subjectToken, { ...wanted, kind: 'workload' }));
}

/** The principal id of a workload. @param sub the subject at its platform */
export function workloadId(ruleName: string, sub: string): string {
  return `workload:${ruleName}:${sub}`;
}

/** A workload under the rule that trusts it. @throws TokenRefused `claims_too_large`, `claim_shape` */
export function applicantOf(subject: Subject): Applicant {
  const { claims, rule, ruleName } = subject;
  const triggeredBy = rule.person && scalarClaim(claims, rule.person.claim);
  return {
    ruleName,
    rule,
    parts: {
      id: workloadId(ruleName, claims.sub),
      person: rule.person && triggeredBy ? canonicalPerson(`${rule.person.prefix}${triggeredBy}`) : null,
      issuer: claims.iss,
      claims: carriedClaims(rule, claims),
      trust_rule: ruleName,
      issued_ms: Math.floor(claims.iat * 1000),
      delegation: null,
    },
    credential: platformCredential(subject),
    singleUse: singleUseOf(subject),
    exp: claims.exp,
  };
}
