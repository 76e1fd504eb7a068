import { append } from '../log/append.ts';
import { momentOf } from '../store/batch.ts';
import { findActivation, insertActivation, storeBundle } from '../store/policies.ts';
import type { Store } from '../store/store.ts';
import { toActivated } from './activate.ts';
import { type Bundle, moduleDigest } from './bundle.ts';
import { operatorEntry } from './operator-entry.ts';

/** The outcome for the bundle that the configuration names. */
export type BundleStart =
  /** There was no active policy; this bundle is now active. */
  | { kind: 'activated'; hash: string }
  /** The stored policy stays active, and the file is the same. */
  | { kind: 'unchanged'; hash: string }
  /** The stored policy stays active; the file differs and was ignored. */
  | { kind: 'differs'; hash: string; file_hash: string }
  /** The stored policy stays active; the file is missing or damaged. */
  | { kind: 'unreadable'; hash: string; detail: string };

/**
 * Stores a bundle, and activates it with a record if no policy was ever active. Afterwards a changed file on disk is only
 * reported: otherwise anyone who can write that file could change the policy without a second person.
 */
export async function activateFirst(
  deps: { store: Store; newId: (nowMs: number) => string },
  bundle: Bundle,
): Promise<BundleStart> {
  const { hash, archive_digest, revision, archive } = bundle;
  // Read first: a store that takes no writes can still serve its policy.
  const present = await findActivation(deps.store.read);
  if (present !== null) return startOn(present, hash);
  return deps.store.writer.write(async (tx): Promise<BundleStart> => {
    const active = await findActivation(tx);
    if (active !== null) return startOn(active, hash);
    const nowMs = momentOf(tx);
    const decision_id = deps.newId(nowMs);
    await storeBundle(tx, { policy_hash: hash, archive_digest, revision, archive, stored_ms: nowMs });
    await insertActivation(tx, {
      policy_hash: hash,
      archive_digest,
      activated_ms: nowMs,
      decision_id,
      request_id: null,
      stage: null,
      module: moduleDigest(bundle),
    });
    await append(
      tx,
      operatorEntry({
        id: decision_id,
        at_ms: nowMs,
        operation: 'policy.activate',
        policy_hash: hash,
        because: { code: 'first_start', detail: 'The first start activates the configured bundle.' },
        activates: toActivated({ hash, archive: archive_digest, stage: null }, bundle.broker.stages),
      }),
    );
    return { kind: 'activated', hash };
  });
}

/** The outcome if a policy is active already. */
function startOn({ policy_hash }: { policy_hash: string }, hash: string): BundleStart {
  return policy_hash === hash
    ? { kind: 'unchanged', hash }
    : { kind: 'differs', hash: policy_hash, file_hash: hash };
}
