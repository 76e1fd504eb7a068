import { renewEnvironment, type VersionOrigin } from '../store/flags.ts';
import { type BundleKey, insertActivation, type NewActivation } from '../store/policies.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { AfterCommit } from '../store/writer.ts';
import type { Policies } from './active.ts';
import type { Policy } from './policies.ts';

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
 * @returns the new active policy
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

/** The effect of a request that activates a policy. */
export function policyActivated(key: BundleKey): {
  carryOut(
    writing: ActivatingWrite,
    origin: Pick<VersionOrigin, 'request_id' | 'decision_id'>,
  ): Promise<{ activates: { hash: string; archive: string } }>;
} {
  return {
    carryOut: async (writing, { request_id, decision_id }) => {
      await activate(writing, { ...key, request_id, decision_id, stage: null });
      return { activates: { hash: key.policy_hash, archive: key.archive_digest } };
    },
  };
}
