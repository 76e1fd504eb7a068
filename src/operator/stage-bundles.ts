import { packWithData } from '../policy/build-bundle.ts';
import { type Bundle, BundleError, readBuiltBundle, readStoredBundle } from '../policy/bundle.ts';
import { sharedData, stageNamed, unknownStage, withShared } from '../policy/stages.ts';
import { findActivation, findActivationOf, findBundle } from '../store/policies.ts';
import type { PolicyActivationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { ActRefused } from './act.ts';

/** A bundle, and the stage that an operator puts it into. */
export interface StageBundle {
  /** An earlier stage; null: the last one. */
  stage: string | null;
  bundle: Bundle;
}

/**
 * What becomes active when an operator recovers a stage: the bundle, and with one for the last stage those of the earlier
 * stages, which follow in the folders that belong to the last one. A stage whose own bundle would be invalid with these gets
 * the recovered one, so that a recovery never fails because of it.
 *
 * @param name the stage; default: the last
 * @throws ActRefused if there is no such stage, or no policy was ever active
 */
export async function stageBundles(
  db: Db,
  bundle: Bundle,
  name: string | undefined,
): Promise<[StageBundle, ...StageBundle[]]> {
  const active = await findActivation(db);
  if (active === null)
    throw new ActRefused('The database has never been used by a broker, so it has no policy.');
  const last = await bundleOf(db, active);
  const { stages } = last.broker;
  const stage = stageNamed(stages, name);
  if (stage === undefined) throw new ActRefused(unknownStage(stages, name ?? '').message);
  if (stage !== null) return [{ stage, bundle: await following(bundle, last) }];
  const followers: StageBundle[] = [];
  for (const { name: earlier } of bundle.broker.stages.slice(0, -1)) {
    const present = await findActivationOf(db, earlier);
    // Decided by the last stage's bundle.
    if (present === null) continue;
    const wasEarlier = stages.slice(0, -1).some((each) => each.name === earlier);
    const own = wasEarlier ? await bundleOf(db, present) : bundle;
    const next = await following(own, bundle).catch((error: unknown) => {
      if (error instanceof BundleError) return bundle;
      throw error;
    });
    if (next.hash !== present.policy_hash) followers.push({ stage: earlier, bundle: next });
  }
  return [{ stage: null, bundle }, ...followers];
}

/** A bundle with the folders that belong to the last stage. */
async function following(bundle: Bundle, last: Bundle): Promise<Bundle> {
  const shared = sharedData(last.data);
  if (sharedData(bundle.data).digest === shared.digest) return bundle;
  return readBuiltBundle(await packWithData(bundle.archive, withShared(bundle.data, shared)), bundle);
}

async function bundleOf(db: Db, { policy_hash, archive_digest }: PolicyActivationsTable): Promise<Bundle> {
  const stored = await findBundle(db, { policy_hash, archive_digest });
  if (stored === null) throw new Error('an activated bundle is not stored');
  return readStoredBundle(stored.archive);
}
