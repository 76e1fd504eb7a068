import { dataEnvironmentOf } from '../identity/issued-token.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';

/** The binding of an application that reads flags: a trust rule with an audience `data:<environment>`. It needs no role. */
export interface AudienceBinding {
  by: 'audience';
  issuer: null;
  /** The trust rule. */
  key: string;
  index: 0;
}

/** One place whose flags a trust rule lets applications read. */
export interface FlagReading {
  capability: 'read';
  environment: string;
  /** A namespace, or `*` for all. */
  namespace: string;
  binding: AudienceBinding;
}

/** What applications may read by each trust rule of a policy; rules that grant no flags are omitted. */
export function flagReadings(policy: Policy): ReadonlyMap<string, FlagReading[]> {
  const readings = new Map<string, FlagReading[]>();
  for (const [rule, { grant }] of Object.entries(trustRulesOf(policy))) {
    const environments = grant.audiences.map(dataEnvironmentOf).filter((name) => name !== null);
    if (environments.length === 0) continue;
    const binding: AudienceBinding = { by: 'audience', issuer: null, key: rule, index: 0 };
    const found = environments.flatMap((environment) =>
      grant.namespaces.map((namespace) => ({ capability: 'read' as const, environment, namespace, binding })),
    );
    if (found.length > 0) readings.set(rule, found);
  }
  return readings;
}

/** What one principal may read as an application. */
export function readingsOf(
  { kind, token }: Principal,
  readings: ReadonlyMap<string, FlagReading[]>,
): readonly FlagReading[] {
  return kind === 'workload' && token.trust_rule !== null ? (readings.get(token.trust_rule) ?? []) : [];
}
