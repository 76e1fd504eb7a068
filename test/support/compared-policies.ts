import { readFileSync } from 'node:fs';
import { type CheckContext, scopeOfStage } from '../../src/activation/checks/check.ts';
import { readStoredBundle } from '../../src/policy/bundle.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import { type Config, withConfig } from './activation.ts';
import { WORKING_HOURS_MS } from './broker.ts';
import { INPUTS } from './inputs.ts';

/** The shipped bundle. */
export const SHIPPED = readFileSync(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));

/** A compiled policy. */
export async function policyOf(archive: Buffer): Promise<Policy> {
  return createPolicy(await readStoredBundle(archive), { inputs: INPUTS });
}

/** The shipped policy with edited data. */
export async function shippedWith(edit: (config: Config) => void): Promise<Policy> {
  return policyOf(await withConfig(SHIPPED, edit));
}

/** What a check needs of its context to compare two policies, which are asked here, without a thread. */
export type Comparing = Pick<CheckContext, 'policies' | 'scope' | 'now_ms' | 'ask' | 'access' | 'advance'>;

/** A context that compares two policies. */
export function comparing(
  policies: { active: Policy; candidate: Policy },
  { now_ms = WORKING_HOURS_MS } = {},
): Comparing {
  const { active, candidate } = policies;
  return {
    policies,
    scope: scopeOfStage(policies, null, new Set()),
    now_ms,
    ask: async (questions) =>
      questions.map(({ question, now_ms: atMs }) => ({
        active: active.decide(under(active, question), atMs),
        candidate: candidate.decide(under(candidate, question), atMs),
      })),
    access: async (principals) => ({
      active: active.access(principals),
      candidate: candidate.access(principals),
    }),
    advance: () => undefined,
  };
}

/** A question with the kind that a policy has for its environment. */
export function under({ broker }: Policy, question: Question): Question {
  if (question.environment === null) return question;
  const { key } = question.environment;
  return { ...question, environment: { key, kind: broker.environments.get(key)?.kind ?? 'unknown' } };
}
