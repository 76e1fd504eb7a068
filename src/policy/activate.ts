import type { ActivatedPolicy } from '../log/entry.ts';
import type { AfterCommit } from '../store/batch-transaction.ts';
import { renewEnvironment, type VersionOrigin } from '../store/flags.ts';
import {
  type BundleKey,
  insertActivation,
  type NewActivation,
  storeBuilt,
  storeBundle,
} from '../store/policies.ts';
import type { PolicyBundlesTable } from '../store/schema.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { Policies } from './active.ts';
import type { Policy } from './policies.ts';
import type { Stage } from './stages.ts';

/** The part of a write that an activation needs. */
export interface ActivatingWrite {
  tx: Tx;
  now_ms: number;
  /** The policy that decided the write. */
  policy: Policy;
  afterCommit: AfterCommit;
  deps: { policies: Pick<Policies<Db>, 'activeIn'> };
}

/**
 * Makes a stored bundle the active policy. It decides later writes of the same batch; everything else follows after the
 * commit. The caller has decided the activation, and appends the record.
 *
 * A bundle that cannot be used here never becomes active: the write that activates it fails and is rolled back.
 *
 * @returns the new active policy, of all stages
 * @throws RunAgain if it is not compiled here yet
 * @throws BundleError, Error if it cannot be used
 */
export async function activate(
  { tx, now_ms, policy: former, afterCommit, deps }: ActivatingWrite,
  activation: Omit<NewActivation, 'activated_ms'>,
): Promise<Policy> {
  await insertActivation(tx, { ...activation, activated_ms: now_ms });
  const policy = await deps.policies.activeIn(tx, afterCommit);
  for (const environment of policy.broker.environments.keys()) {
    if (!former.broker.environments.has(environment)) await renewEnvironment(tx, environment);
  }
  return policy;
}

/** A bundle, and the stage that it is for. */
export interface StageBundle extends Omit<PolicyBundlesTable, 'stored_ms'> {
  /** An earlier stage; null: the last one. */
  stage: string | null;
  /** `sha256:` and hex over its module. */
  module: string;
  /** The bundle whose module it has, if the broker built it. */
  built_from?: BundleKey;
}

/**
 * Stores a bundle and makes it the active policy of its stage, for a request that was just decided.
 *
 * @returns what the record says of it
 */
export async function activateBundle(
  writing: ActivatingWrite,
  { stage, module, built_from, ...bundle }: StageBundle,
  { request_id, decision_id }: Pick<VersionOrigin, 'request_id' | 'decision_id'>,
): Promise<ActivatedPolicy> {
  const { policy_hash, archive_digest } = bundle;
  await storeBundle(writing.tx, { ...bundle, stored_ms: writing.now_ms });
  if (built_from !== undefined) await storeBuilt(writing.tx, archive_digest, built_from);
  const { broker } = await activate(writing, {
    policy_hash,
    archive_digest,
    request_id,
    decision_id,
    stage,
    module,
  });
  return toActivated({ hash: policy_hash, archive: archive_digest, stage }, broker.stages);
}

/**
 * What a record says of a bundle that becomes active.
 *
 * @param bundle.stage null: the last stage, whose data has the map of stages
 */
export function toActivated(
  { hash, archive, stage }: { hash: string; archive: string; stage: string | null },
  stages: readonly Stage[],
): ActivatedPolicy {
  if (stage !== null) return { hash, archive, stage };
  return { hash, archive, stages };
}

/** What a record says of bundles of earlier stages that become active with one of the last stage. */
export function withFollowers(
  activated: ActivatedPolicy,
  followers: readonly ActivatedPolicy[],
): ActivatedPolicy {
  const named = followers.flatMap(({ hash, archive, stage }) =>
    stage === undefined ? [] : [{ hash, archive, stage }],
  );
  return named.length === 0 ? activated : { ...activated, followers: named };
}
