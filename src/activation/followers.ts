import type { PlanContext } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import type { StageBundle } from '../policy/activate.ts';
import type { Policy } from '../policy/policies.ts';
import { sharedData } from '../policy/stages.ts';
import { findActivationOf, findBundle } from '../store/policies.ts';
import type { Db } from '../store/statement.ts';
import { builtFrom } from './build.ts';
import { type Candidate, readyOf, toStored } from './candidate.ts';

/**
 * What has to become active in earlier stages together with a candidate of the last one: their bundles with the folders that
 * belong to the last stage, if the candidate changes these.
 *
 * @throws RunAgain while something has to be built or compiled first
 * @throws BrokerError `invalid_change` if the bundle of a stage would be invalid with the changed folders
 */
export async function followersOf(
  db: Db,
  { bundle, policy: candidate }: Pick<Candidate, 'bundle' | 'policy'>,
  context: PlanContext,
): Promise<StageBundle[]> {
  const shared = sharedData(candidate.data);
  const followers: StageBundle[] = [];
  for (const { name } of candidate.broker.stages.slice(0, -1)) {
    const active = await findActivationOf(db, name);
    // Decided by the last stage's bundle, which is the candidate then.
    if (active === null) continue;
    const present = context.policy.earlier.get(name);
    if (present === undefined) {
      // A stage of that name existed before. What was active in it then does not come back by itself.
      followers.push({ ...bundle, stage: name, module: candidate.module });
    } else if (sharedData(present.data).digest !== shared.digest) {
      const source = await findBundle(db, active);
      if (source === null) throw new Error('an activated bundle is not stored');
      const built = toStored(
        inStage(name, () => builtFrom({ module: source, data: source, shared, patch: null })).bundle,
        source,
      );
      const { module } = inStage(name, () => readyOf(context, built, '#')) satisfies Policy;
      followers.push({ ...built, stage: name, module });
    }
  }
  return followers;
}

function inStage<T>(stage: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    const detail = error.fields.errors?.[0]?.detail ?? error.message;
    throw new BrokerError(
      'invalid_change',
      `With this, the policy of the stage "${stage}" would be invalid.`,
      {
        errors: [{ pointer: '#', detail: `change the data of that stage first: ${detail}` }],
      },
    );
  }
}
