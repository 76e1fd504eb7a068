import { brokerEventEntry } from '../decide/broker-event.ts';
import type { ControlDeps } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { append } from '../log/append.ts';
import { schedulerPrincipal } from '../principal.ts';
import { PUBLISHES } from '../snapshot/latest.ts';
import { batchOf } from '../store/batch.ts';
import { findLatestSnapshot, insertSnapshot } from '../store/snapshots.ts';
import type { PreparedSnapshot } from './prepare.ts';

/**
 * Publishes a snapshot: its record and its body are one write, so a crash leaves both or neither, and the next run does the
 * rest. Nothing else publishes one.
 *
 * The record says what the log meant at an earlier size, so it makes no difference whether flags have moved since the snapshot
 * was prepared. No write of flags waits for it.
 *
 * @returns false if this version, or a later one, is published already: another broker was faster
 */
export function publishSnapshot(control: ControlDeps, prepared: PreparedSnapshot): Promise<boolean> {
  const { environment, epoch, version, size, digest, body } = prepared;
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  return write(
    control,
    call,
    async ({ tx, now_ms, policy }) => {
      const latest = await findLatestSnapshot(tx, environment);
      const { head } = batchOf(tx);
      if (head.epoch !== epoch) return false;
      if (latest?.epoch === epoch && latest.version >= version) return false;
      const snapshot = { environment, version, digest, size };
      const entry = brokerEventEntry({
        id: control.newId(now_ms),
        at_ms: now_ms,
        operation: PUBLISHES,
        effect: 'allow',
        because: {
          code: 'snapshot_published',
          detail: `Version ${version} of ${environment} is published as ${digest}.`,
        },
        policy_hash: policy.hash,
        input: { snapshot },
      });
      const place = await append(tx, { ...entry, snapshot });
      const previous = latest?.digest ?? null;
      await insertSnapshot(tx, { environment, epoch, version, digest, previous, size, place, body });
      return true;
    },
    'scheduled',
  );
}
