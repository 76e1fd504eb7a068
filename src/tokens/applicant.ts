import type { Credential } from '../identity/credential.ts';
import { type IssuedParts, issuedPrincipal } from '../identity/workload.ts';
import type { Principal } from '../principal.ts';
import type { TrustRule } from '../trust/rules.ts';
import { startersOf, workloadId } from '../trust/workload.ts';
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

/** A verified applicant for a token, and the limits of the token. */
export interface Applicant {
  ruleName: string;
  /** The trust rule; for an agent narrowed to what its sponsor allows. */
  rule: TrustRule;
  /** The parts of the principal that do not depend on the request. */
  parts: Omit<IssuedParts, 'audience' | 'scope' | 'sender_constrained'>;
  credential: Credential;
  /** Null for a person, whose token only reads and works until it expires. */
  singleUse: SingleUse | null;
  /** The earliest expiry of the presented tokens, in seconds since the epoch. */
  exp: number;
}

/** A person who requests a token that reads flags. Policy decides about them as they signed in. */
export interface PersonApplicant extends Omit<Applicant, 'parts'> {
  person: Principal;
}

/** The principal that is to get a token, as policy sees it. */
export function principalOf(
  applicant: Applicant | PersonApplicant,
  token: Pick<IssuedParts, 'audience' | 'scope' | 'sender_constrained'>,
): Principal {
  if ('parts' in applicant) return issuedPrincipal({ ...applicant.parts, ...token });
  return { ...applicant.person, token: { ...applicant.person.token, ...token } };
}

/**
 * A workload that requests a token for itself.
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

/** The workload under its trust rule. @throws TokenRefused `claims_too_large`, `claim_shape` */
export function applicantOf(subject: Subject): Applicant {
  const { claims, rule, ruleName } = subject;
  const [person = null, ...started_by] = startersOf(subject);
  return {
    ruleName,
    rule,
    parts: {
      id: workloadId(ruleName, claims.sub),
      person,
      started_by,
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
