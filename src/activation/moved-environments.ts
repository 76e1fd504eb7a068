import type { Policy } from '../policy/policies.ts';
import { policyOfStage } from '../policy/staged-policy.ts';
import { fault } from './candidate.ts';

/**
 * The environments that another bundle would decide because a candidate of the last stage changes the map of stages. The
 * report compares the bundles of the last stage alone, so no environment may come under another bundle of an earlier stage
 * this way: nobody would see what changes, and a module would get there without a promotion.
 *
 * @param active the active policies of all stages
 * @returns the environments that go back to the last stage, which decides otherwise there
 * @throws BrokerError `invalid_change` for an environment that would go to an earlier stage which decides by another policy
 */
export function movedEnvironments(
  candidate: Pick<Policy, 'broker'>,
  active: Policy,
  pointer: string,
): string[] {
  const own = (stages: Policy['broker']['stages'], environment: string) => {
    const earlier = stages.slice(0, -1).find(({ environments }) => environments.includes(environment));
    return earlier !== undefined && active.earlier.has(earlier.name) ? earlier.name : null;
  };
  return [...active.broker.environments.keys()].filter((environment) => {
    const [from, to] = [own(active.broker.stages, environment), own(candidate.broker.stages, environment)];
    const isSame = policyOfStage(active, from).hash === policyOfStage(active, to).hash;
    if (to !== null && !isSame) {
      throw fault(`"${environment}" would be decided by another policy, that of the stage "${to}".`, {
        pointer,
        detail: `first activate the policy that decides "${environment}" now (${policyOfStage(active, from).hash}) in the stage "${to}", then change the map`,
      });
    }
    return !isSame;
  });
}
