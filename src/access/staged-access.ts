import type { Capability } from '../operations.ts';
import type { AccessAnswer, BindingName } from '../policy/access.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';

/** The place of a binding, and the earlier stage whose data it is in; without one, the last stage's. */
export type StagedBinding = BindingName & { stage?: string };

/** Who can do what under the policies of all stages. */
export interface StagedAnswer {
  grants: (Omit<AccessAnswer['grants'][number], 'binding'> & { binding: StagedBinding })[];
  bindings: (AccessAnswer['bindings'][number] & { stage?: string })[];
}

/** What the stage of an environment decides there; everything else is the last stage's, in every environment. */
const DECIDED_THERE: readonly Capability[] = ['read', 'propose', 'approve'];

/**
 * Who can do what: in the environments of an earlier stage by its own bindings, elsewhere by those of the last one.
 * Definitions of flags are the last stage's in every environment, which a single place cannot show.
 *
 * @returns null if the policy of a stage has no `countersign/access`
 */
export function accessOfStages(policy: Policy, principals: readonly Principal[]): StagedAnswer | null {
  const last = policy.access(principals);
  if (last === null || policy.earlier.size === 0) return last;
  const stageOf = new Map<string, string>();
  for (const { name, environments } of policy.broker.stages) {
    if (policy.earlier.has(name)) for (const environment of environments) stageOf.set(environment, name);
  }
  const isOf = (stage: string | undefined, environment: string, capability: Capability) =>
    (DECIDED_THERE.includes(capability) ? stageOf.get(environment) : undefined) === stage;
  const whole: StagedAnswer = {
    grants: last.grants.filter(({ environment, capability }) => isOf(undefined, environment, capability)),
    bindings: [...last.bindings],
  };
  for (const [stage, own] of policy.earlier) {
    const answer = own.access(principals);
    if (answer === null) return null;
    for (const grant of answer.grants) {
      if (!isOf(stage, grant.environment, grant.capability)) continue;
      whole.grants.push({ ...grant, binding: { ...grant.binding, stage } });
    }
    for (const binding of answer.bindings) {
      whole.bindings.push({
        ...binding,
        stage,
        capabilities: binding.capabilities.filter((capability) => DECIDED_THERE.includes(capability)),
        environments: binding.environments.filter((environment) => stageOf.get(environment) === stage),
      });
    }
  }
  return whole;
}
