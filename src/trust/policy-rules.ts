import type { BrokerData } from '../policy/data.ts';
import type { Policy } from '../policy/policies.ts';
import { describeFaults } from '../schema-faults.ts';
import { lintTrustRules, type TrustRuleFault } from './lint.ts';
import { type TrustRules, trustRulesSchema } from './rules.ts';

const parsed = new WeakMap<BrokerData, TrustRules>();

/** The trust rules of a bundle's data, or all their faults. */
export function checkTrustRules(
  broker: BrokerData,
): { rules: TrustRules } | { faults: readonly TrustRuleFault[] } {
  const { rules, faults } = examine(broker);
  return faults.length === 0 ? { rules } : { faults };
}

/** The trust rules and all their faults; no rules if they cannot be read. */
function examine(broker: BrokerData): { rules: TrustRules; faults: readonly TrustRuleFault[] } {
  const rules = trustRulesSchema.safeParse(broker.trust_rules);
  if (!rules.success) {
    const faults = describeFaults(trustRulesSchema, broker.trust_rules, rules.error);
    return {
      rules: {},
      faults: faults.map(({ path: [rule, ...place], detail }) => ({
        rule: String(rule),
        detail: place.length === 0 ? detail : `${place.join('.')}: ${detail}`,
      })),
    };
  }
  const faults = [
    ...droppedClaims(broker.trust_rules),
    ...lintTrustRules(rules.data, {
      environments: new Set(broker.environments.keys()),
      sharedIssuers: broker.shared_issuers,
    }),
  ];
  return { rules: rules.data, faults };
}

/** zod's records silently drop a member with this name, and with it a condition of the rule. */
function droppedClaims(rules: BrokerData['trust_rules']): TrustRuleFault[] {
  const named = Object.entries(rules as Record<string, { claims: object }>).filter(([, { claims }]) =>
    Object.hasOwn(claims, '__proto__'),
  );
  return named.map(([rule]) => ({
    rule,
    detail: 'claims.__proto__ cannot be compared: remove it',
  }));
}

/**
 * The trust rules of a policy that is active, or was.
 *
 * @throws Error naming each fault: a policy that trusts more than its author can intend is not used
 */
export function trustRulesOf({ broker }: Pick<Policy, 'broker'>): TrustRules {
  const known = parsed.get(broker);
  if (known !== undefined) return known;
  const { rules, faults } = examine(broker);
  assertNone(faults.filter(({ is_enforced }) => is_enforced !== true));
  parsed.set(broker, rules);
  return rules;
}

/**
 * Checks the trust rules of a policy that is to become active.
 *
 * @throws Error naming each fault, including those that matching enforces
 */
export function assertSoundRules({ broker }: Pick<Policy, 'broker'>): void {
  assertNone(examine(broker).faults);
}

function assertNone(faults: readonly TrustRuleFault[]): void {
  if (faults.length === 0) return;
  const lines = faults.map(({ rule, detail }) => `  ${rule}: ${detail}`);
  throw new Error(`data.config.trust_rules is not valid:\n${lines.join('\n')}`);
}
