import { canonicalJson, sha256Hex } from '../json.ts';
import { append } from '../log/append.ts';
import { operatorPrincipal } from '../principal.ts';
import { momentOf } from '../store/batch.ts';
import type { Store } from '../store/database.ts';
import { activateBundle, activePolicyHash } from '../store/installation.ts';
import type { Bundle } from './bundle.ts';
import { RESULT_VERSION } from './decision.ts';

/** What became of the bundle that the configuration names. */
export type BundleOutcome =
  /** There was no active policy; this one is it now. */
  | { kind: 'activated'; hash: string }
  /** The stored active policy counts, and the file is the same. */
  | { kind: 'unchanged'; hash: string }
  /** The stored active policy counts; the file differs and was not taken. */
  | { kind: 'differs'; hash: string; file_hash: string }
  /** The stored active policy counts; the file is missing or damaged. */
  | { kind: 'unreadable'; hash: string; detail: string };

/**
 * Activates a bundle if none ever was, with its record. Afterwards the stored one counts: a changed file on disk is
 * reported and never taken, or whoever can write that file could change the policy without a second person.
 */
export async function activateFirst(
  deps: { store: Store; newId: (nowMs: number) => string },
  bundle: Bundle,
): Promise<BundleOutcome> {
  const { hash, revision, archive } = bundle;
  return deps.store.writer.write(async (tx): Promise<BundleOutcome> => {
    const active = await activePolicyHash(tx);
    if (active !== null) {
      return active === hash
        ? { kind: 'unchanged', hash }
        : { kind: 'differs', hash: active, file_hash: hash };
    }
    const nowMs = momentOf(tx);
    await activateBundle(tx, { hash, revision, archive, stored_ms: nowMs });
    const input_json = canonicalJson({
      operation: 'policy.activate',
      principal: operatorPrincipal,
      policy_hash: hash,
    });
    await append(tx, {
      id: deps.newId(nowMs),
      at_ms: nowMs,
      operation: 'policy.activate',
      principal: operatorPrincipal,
      environment: null,
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
      activates: { hash, archive: `sha256:${sha256Hex(archive)}` },
      correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
    });
    return { kind: 'activated', hash };
  });
}
