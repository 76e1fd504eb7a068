import { renewEnvironment } from '../store/flags.ts';
import { insertActivation, type NewActivation } from '../store/policies.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { AfterCommit } from '../store/writer.ts';
import type { Policies } from './active.ts';
import type { Policy } from './policies.ts';

/** A write, as far as an activation needs it. */
export interface ActivatingWrite {
  tx: Tx;
  now_ms: number;
  /** The policy that the write has met. */
  policy: Policy;
  afterCommit: AfterCommit;
  deps: { policies: Pick<Policies<Db>, 'activeIn'> };
}

/**
 * Makes a stored bundle the active policy. Later writes of the same batch are decided by it; everything else follows once
 * it is durable. The caller has decided that this may be, and appends the record.
 *
 * A bundle that cannot be used here is never active: the write that activates it fails, and is undone.
 *
 * @returns the policy that is active from then on
 * @throws RunAgain when it is not compiled here yet
 * @throws BundleError, Error when it cannot be used
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
