import type { BrokerData } from '../policy/data.ts';
import type { Policy } from '../policy/policies.ts';
import { describeFaults } from '../schema-faults.ts';
import { type TrustRules, trustRulesSchema } from './trust.ts';
import { lintTrustRules, type TrustRuleFault } from './trust-lint.ts';

const parsed = new WeakMap<BrokerData, TrustRules>();

/** The trust rules of a bundle's data, or everything that is wrong with them. */
export function checkTrustRules(
  broker: BrokerData,
): { rules: TrustRules } | { faults: readonly TrustRuleFault[] } {
  const rules = trustRulesSchema.safeParse(broker.trust_rules);
  if (!rules.success) {
    const faults = describeFaults(trustRulesSchema, broker.trust_rules, rules.error);
    return {
      faults: faults.map(({ path: [rule, ...place], detail }) => ({
        rule: String(rule),
        detail: place.length === 0 ? detail : `${place.join('.')}: ${detail}`,
      })),
    };
  }
  const faults = lintTrustRules(rules.data, {
    environments: new Set(broker.environments.keys()),
    sharedIssuers: broker.shared_issuers,
  });
  return faults.length === 0 ? { rules: rules.data } : { faults };
}

/**
 * The trust rules of a policy, checked.
 *
 * @throws Error naming each fault: a policy that trusts more than its author can mean is not used
 */
export function trustRulesOf({ broker }: Pick<Policy, 'broker'>): TrustRules {
  const known = parsed.get(broker);
  if (known !== undefined) return known;
  const checked = checkTrustRules(broker);
  if ('faults' in checked) {
    const lines = checked.faults.map(({ rule, detail }) => `  ${rule}: ${detail}`);
    throw new Error(`data.config.trust_rules cannot be used:\n${lines.join('\n')}`);
  }
  parsed.set(broker, checked.rules);
  return checked.rules;
}
