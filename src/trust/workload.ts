import type { Claims } from '../identity/claim.ts';
import { verifiedPerson } from '../identity/person.ts';
import { scalarClaim, type TrustRule } from './rules.ts';

/** The principal id of a workload. @param sub the subject at its platform */
export function workloadId(ruleName: string, sub: string): string {
  return `workload:${ruleName}:${sub}`;
}

/**
 * The humans who started a job, as its rule identifies them, without duplicates: who started it first, then who started
 * it again. Empty if the rule identifies nobody.
 */
export function startersOf({
  rule,
  claims,
}: {
  rule: Pick<TrustRule, 'person' | 'rerun_by'>;
  claims: Claims;
}): string[] {
  const names = [rule.person, rule.rerun_by].flatMap((human) => {
    const value = human && scalarClaim(claims, human.claim);
    return human && value ? [verifiedPerson(`${human.prefix}${value}`)] : [];
  });
  return [...new Set(names)];
}
