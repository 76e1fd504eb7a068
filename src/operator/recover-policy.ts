import type { ActivatedPolicy } from '../log/entry.ts';
import { toActivated, withFollowers } from '../policy/activate.ts';
import { type Bundle, moduleDigest } from '../policy/bundle.ts';
import { momentOf } from '../store/batch.ts';
import { renewEnvironment } from '../store/flags.ts';
import { findActivationOf, insertActivation, storeBundle } from '../store/policies.ts';
import { makeAllDue } from '../store/requests.ts';
import type { Tx } from '../store/statement.ts';
import { type ActDeps, ActRefused, recordAct } from './act.ts';
import { type StageBundle, stageBundles } from './stage-bundles.ts';

/** A recovered policy. */
export interface RecoveredPolicy {
  /** The id of its record. */
  decision_id: string;
  policy_hash: string;
  /** The policy that it replaces. */
  replaced: string;
}

/**
 * Activates a bundle without a decision, for an installation whose active policy lets nobody activate another one. The way
 * out for whoever holds the machine; its record has no request, so every list of activations shows it.
 *
 * @param order.bundle read, verified and tried by the caller
 * @param order.stage the stage that gets it; default: the last, which the earlier ones follow
 * @throws ActRefused if it is active already, or no policy ever was, or there is no such stage
 * @throws BrokerError `clock_behind`, `restored_copy`, `not_recorded`
 */
export async function recoverPolicy(
  { store, newId }: ActDeps,
  { bundle, stage: name, reason }: { bundle: Bundle; stage?: string | undefined; reason: string },
): Promise<RecoveredPolicy> {
  const bundles = await stageBundles(store.read, bundle, name);
  const [{ stage, bundle: recovered }, ...followers] = bundles;
  return store.writer.write(async (tx) => {
    const active = await findActivationOf(tx, stage);
    if (active?.policy_hash === recovered.hash) throw new ActRefused('This policy is active already.');
    const at_ms = momentOf(tx);
    const decision_id = newId(at_ms);
    // The record names the policy that was active until now.
    await recordAct(tx, {
      id: decision_id,
      at_ms,
      operation: 'policy.activate',
      because: {
        code: 'policy_recovered',
        detail: 'An operator activated a policy at the machine, without a decision.',
      },
      note: { code: 'policy_recovered', detail: reason },
      activates: withFollowers(described({ stage, bundle: recovered }), followers.map(described)),
    });
    for (const each of bundles) await activate(tx, each, { at_ms, decision_id });
    for (const environment of bundle.broker.environments.keys()) await renewEnvironment(tx, environment);
    await makeAllDue(tx, at_ms);
    return { decision_id, policy_hash: recovered.hash, replaced: active?.policy_hash ?? '' };
  });
}

function described({ stage, bundle: { hash, archive_digest, broker } }: StageBundle): ActivatedPolicy {
  return toActivated({ hash, archive: archive_digest, stage }, broker.stages);
}

async function activate(
  tx: Tx,
  { stage, bundle }: StageBundle,
  { at_ms, decision_id }: { at_ms: number; decision_id: string },
): Promise<void> {
  const { hash: policy_hash, archive_digest, archive, revision } = bundle;
  const key = { policy_hash, archive_digest };
  await storeBundle(tx, { ...key, archive, revision, stored_ms: at_ms });
  const module = moduleDigest(bundle);
  await insertActivation(tx, { ...key, activated_ms: at_ms, decision_id, request_id: null, stage, module });
}
