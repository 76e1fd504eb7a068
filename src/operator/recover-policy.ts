import type { Bundle } from '../policy/bundle.ts';
import { momentOf } from '../store/batch.ts';
import { renewEnvironment } from '../store/flags.ts';
import { findActivation, insertActivation, storeBundle } from '../store/policies.ts';
import { makeAllDue } from '../store/requests.ts';
import { type ActDeps, ActRefused, recordAct } from './act.ts';

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
 * @throws ActRefused if it is active already, or no policy ever was
 * @throws BrokerError `clock_behind`, `restored_copy`, `not_recorded`
 */
export function recoverPolicy(
  { store, newId }: ActDeps,
  { bundle, reason }: { bundle: Bundle; reason: string },
): Promise<RecoveredPolicy> {
  const { hash: policy_hash, archive_digest, archive, revision, broker } = bundle;
  return store.writer.write(async (tx) => {
    const active = await findActivation(tx);
    if (active?.policy_hash === policy_hash) throw new ActRefused('This policy is active already.');
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
      activates: { hash: policy_hash, archive: archive_digest },
    });
    const key = { policy_hash, archive_digest };
    await storeBundle(tx, { ...key, archive, revision, stored_ms: at_ms });
    await insertActivation(tx, { ...key, activated_ms: at_ms, decision_id, request_id: null, stage: null });
    for (const environment of broker.environments.keys()) await renewEnvironment(tx, environment);
    await makeAllDue(tx, at_ms);
    return { decision_id, policy_hash, replaced: active?.policy_hash ?? '' };
  });
}
