import { OPERATIONS } from '../operations.ts';
import type { Decided, Policy } from './policies.ts';
import type { Stage } from './stages.ts';

/**
 * The active policies as one: each question is decided by the policy of its stage, and everything else is the last stage's.
 *
 * @param last the active policy of the last stage
 * @param earlier the active policies of earlier stages; a stage without one is decided by the last stage's
 */
export function stagedPolicy(last: Policy, earlier: ReadonlyMap<string, Policy>): Policy {
  const { stages } = last.broker;
  const owner = stages.at(-1);
  if (owner === undefined) return last;
  const ofLast = { stage: owner.name, policy: last };
  const byEnvironment = new Map(
    stages.flatMap(({ name, environments }) =>
      environments.map((environment) => [
        environment,
        name === owner.name ? ofLast : { stage: name, policy: earlier.get(name) ?? last },
      ]),
    ),
  );
  const find = (question: Decided) => byEnvironment.get(environmentThatDecides(question) ?? '') ?? ofLast;
  return {
    ...last,
    earlier: new Map(stages.flatMap(({ name }) => toEntry(name, earlier.get(name)))),
    deciding: (question) => find(question).policy,
    decide: (question, nowMs) => {
      const { stage, policy } = find(question);
      return { ...policy.decide(question, nowMs), stage };
    },
  };
}

/**
 * Whether the policy of a stage decides a question.
 *
 * @param stage its name; null if one policy decides everything
 * @param context.stages the map of stages
 * @param context.own the earlier stages with a policy of their own, each decided by the last stage otherwise
 */
export function decidesIn(
  stage: string | null,
  question: Decided,
  { stages, own }: { stages: readonly Stage[]; own: ReadonlySet<string> },
): boolean {
  if (stage === null) return true;
  const environment = environmentThatDecides(question);
  const place = stages.find(({ environments }) => environment !== null && environments.includes(environment));
  const decides = place !== undefined && own.has(place.name) ? place.name : stages.at(-1)?.name;
  return decides === stage;
}

function toEntry(name: string, policy: Policy | undefined): [string, Policy][] {
  return policy === undefined ? [] : [[name, policy]];
}

/**
 * The environment whose stage decides a question; null: the last stage does. Requests that change nothing but states of
 * flags, and reads in an environment, belong to the environment. Definitions apply to every environment, and other kinds of
 * requests (lifts, activations) and other operations (freezes, revocations, tokens) to the whole installation.
 */
function environmentThatDecides({ operation, environment, request }: Decided): string | null {
  if (environment === null) return null;
  if (request !== null) {
    return request.kind === 'flag.change' && !request.facts.definition ? environment.key : null;
  }
  return ['request', 'seen'].includes(OPERATIONS[operation].at) ? environment.key : null;
}

/** The active policy of a stage; null: of the last one. */
export function policyOfStage(policy: Policy, stage: string | null): Policy {
  return (stage === null ? undefined : policy.earlier.get(stage)) ?? policy;
}

/** The active policy with a hash, of whatever stage; null if none of them has it. */
export function activeWithHash(policy: Policy, hash: string): Policy | null {
  if (policy.hash === hash) return policy;
  return [...policy.earlier.values()].find((each) => each.hash === hash) ?? null;
}
