import type { ControlDeps } from '../decide/control.ts';
import type { PolicyInput } from '../policy/input.ts';
import { personNames } from '../policy/persons.ts';
import type { Policy, Question } from '../policy/policies.ts';
import type { AskedQuestion } from '../policy/variations.ts';
import { questionAbout } from './decide-request.ts';

/** A question about a request on committed state, to be asked again with one thing changed. */
export async function askedAbout(
  deps: ControlDeps,
  { policy, now_ms }: { policy: Policy; now_ms: number },
  about: Parameters<typeof questionAbout>[1],
): Promise<AskedQuestion> {
  const revocations = deps.revocations.under(personNames(policy));
  const context = { deps, db: deps.store.read, now_ms, policy, revocations };
  return askedOf(policy, (await questionAbout(context, about)).question, now_ms);
}

/** A question with the document and the versions that it is asked with. */
export function askedOf(policy: Policy, question: Question, nowMs: number): AskedQuestion {
  const decided = policy.deciding(question);
  const { input_json, versions } = decided.decide(question, nowMs);
  return { policy: decided, versions, document: JSON.parse(input_json) as PolicyInput };
}
