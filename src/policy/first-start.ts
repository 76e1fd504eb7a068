import { canonicalJson, sha256Hex } from '../json.ts';
import { append } from '../log/append.ts';
import { operatorPrincipal } from '../principal.ts';
import { momentOf } from '../store/batch.ts';
import type { Store } from '../store/database.ts';
import { findActivation, insertActivation, storeBundle } from '../store/policies.ts';
import type { Bundle } from './bundle.ts';
import { RESULT_VERSION } from './decision.ts';

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
  return deps.store.writer.write(async (tx): Promise<BundleStart> => {
    const active = await findActivation(tx);
    if (active !== null) {
      return active.policy_hash === hash
        ? { kind: 'unchanged', hash }
        : { kind: 'differs', hash: active.policy_hash, file_hash: hash };
    }
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
    });
    const input_json = canonicalJson({
      operation: 'policy.activate',
      principal: operatorPrincipal,
      policy_hash: hash,
    });
    await append(tx, {
      id: decision_id,
      at_ms: nowMs,
      operation: 'policy.activate',
      principal: operatorPrincipal,
      environment: null,
      knows_environment: true,
      decision: {
        effect: 'allow',
        reasons: [{ code: 'first_start', detail: 'The first start activates the configured bundle.' }],
        obligations: [],
        limits: {},
        versions: { input: null, result: RESULT_VERSION, guardrails: null },
        policy_hash: hash,
        input_json,
        input_digest: `sha256:${sha256Hex(input_json)}`,
      },
      request: null,
      flags: [],
      activates: { hash, archive: archive_digest },
      correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
    });
    return { kind: 'activated', hash };
  });
}
