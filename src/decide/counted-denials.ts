import { append } from '../log/append.ts';
import { schedulerPrincipal } from '../principal.ts';
import { listDeniedMinutes, takeDenials } from '../store/denials.ts';
import { brokerEventEntry } from './broker-event.ts';
import type { ControlDeps, WriteContext } from './control.ts';
import { MINUTE_MS, minuteOf } from './strangers.ts';
import { write } from './write.ts';

/**
 * Makes the counts of each minute but the present one a record. The counts are in the store, so a restart loses none, and a
 * clock that comes back from the future leaves none behind.
 */
export async function recordCounts(deps: ControlDeps): Promise<void> {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  for (const minuteMs of await listDeniedMinutes(deps.store.read, minuteOf(deps.clock()))) {
    await write(deps, call, (writing) => recordMinute(writing, minuteMs));
  }
}

/** The record names nobody: each count refers to the record of the decision under which it counts. */
async function recordMinute(
  { deps, tx, now_ms, policy }: WriteContext,
  minuteMs: number,
): Promise<undefined> {
  const denials = (await takeDenials(tx, minuteMs))
    .filter(({ count }) => count > 0)
    .map(({ decision_id, operation, count }) => ({ decision_id, operation, count }));
  if (denials.length === 0) return;
  const total = denials.reduce((sum, { count }) => sum + count, 0);
  const entry = brokerEventEntry({
    id: deps.newId(now_ms),
    at_ms: now_ms,
    operation: 'denials.counted',
    effect: 'deny',
    because: {
      code: 'denials_counted',
      detail: `Denied ${total} more calls of callers without a grant.`,
    },
    policy_hash: policy.hash,
    input: { from_ms: minuteMs, to_ms: minuteMs + MINUTE_MS, denials },
  });
  await append(tx, entry);
}
