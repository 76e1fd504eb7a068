import { z } from 'zod';
import type { Policy } from '../policy/policies.ts';
import { lintTrustRules, type TrustRules, trustRulesSchema } from './trust.ts';

const parsed = new WeakMap<Policy, TrustRules>();

/**
 * The trust rules of a policy, checked.
 *
 * @throws Error naming each faulty rule: a policy that trusts more than its author can mean is not used
 */
export function trustRulesOf(policy: Policy): TrustRules {
  const known = parsed.get(policy);
  if (known !== undefined) return known;
  const rules = trustRulesSchema.safeParse(policy.broker.trust_rules);
  if (!rules.success)
    throw new Error(`data.config.trust_rules is not usable:\n${z.prettifyError(rules.error)}`);
  const faults = lintTrustRules(rules.data);
  if (faults.length > 0) {
    throw new Error(
      `data.config.trust_rules is not safe:\n${faults.map((fault) => `  ${fault.rule}: ${fault.detail}`).join('\n')}`,
    );
  }
  parsed.set(policy, rules.data);
  return rules.data;
}
