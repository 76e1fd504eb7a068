import { v7 as uuidv7 } from 'uuid';
import { rebundle } from '../../fixtures/rebundle.ts';
import { append } from '../../src/log/append.ts';
import { toActivated } from '../../src/policy/activate.ts';
import { readStoredBundle } from '../../src/policy/bundle.ts';
import { operatorEntry } from '../../src/policy/operator-entry.ts';
import { momentOf } from '../../src/store/batch.ts';
import { findActivation, insertActivation, storeBundle } from '../../src/store/policies.ts';
import type { Store } from '../../src/store/store.ts';
import type { TestBroker } from './broker.ts';

/** The data of the shipped bundle, as far as tests look into it. */
export type Config = Record<string, Record<string, unknown>>;

/** The same policy with an edited `data.config`: another bundle, with a hash of its own. */
export function withConfig(archive: Buffer, edit: (config: Config) => void): Promise<Buffer> {
  return rebundle(archive, (data) => {
    edit((data as { config: Config }).config);
    return data;
  });
}

/**
 * Stores a bundle and makes it the active one behind the broker's back, as another broker on the same store does, which
 * may be older and refuse fewer faults. The record is that of an operator.
 *
 * @returns its policy hash
 */
export async function activateElsewhere(store: Store, archive: Buffer, nowMs: number): Promise<string> {
  const bundle = await readStoredBundle(archive);
  const { hash: policy_hash, archive_digest, revision } = bundle;
  await store.writer.write(async (tx) => {
    const active = await findActivation(tx);
    await storeBundle(tx, { policy_hash, archive_digest, revision, archive, stored_ms: nowMs });
    await insertActivation(tx, {
      policy_hash,
      archive_digest,
      activated_ms: nowMs,
      decision_id: null,
      request_id: null,
      stage: null,
    });
    await append(
      tx,
      operatorEntry({
        id: uuidv7({ msecs: nowMs }),
        at_ms: momentOf(tx),
        operation: 'policy.activate',
        policy_hash: active?.policy_hash ?? policy_hash,
        because: { code: 'policy_recovered', detail: 'Another broker activated it.' },
        activates: toActivated(
          { hash: policy_hash, archive: archive_digest, stage: null },
          bundle.broker.stages,
        ),
      }),
    );
  });
  return policy_hash;
}

/** Signs in who activates policies, so that the broker knows them. */
export async function signIn(t: TestBroker, people = ['morgan', 'jordan', 'sam']): Promise<void> {
  for (const who of people) await t.call(who, 'GET', '/v1/whoami');
  await t.broker.scheduler.tick();
}
