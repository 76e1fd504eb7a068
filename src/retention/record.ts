import type { Clock } from '../clock.ts';
import { brokerEventEntry } from '../decide/broker-event.ts';
import { append } from '../log/append.ts';
import type { Retention } from '../log/entry.ts';
import type { Principal } from '../principal.ts';
import { schedulerPrincipal } from '../principal.ts';
import { momentOf } from '../store/batch.ts';
import { findActivation } from '../store/policies.ts';
import type { Tx } from '../store/statement.ts';
import type { Store } from '../store/store.ts';

/*
 * What becomes of old rows beside the log: inputs move to archives, counts of evaluations are deleted. No policy decides it,
 * since the operator's configuration says how long they are kept; each move is one write with the record that says so, and the
 * database lets nothing go without it.
 */

/** The dependencies of retention. */
export interface RetentionDeps {
  store: Store;
  clock: Clock;
  newId: (nowMs: number) => string;
  /** Who has it done: the broker itself unless it is given. */
  principal?: Principal;
}

const OPERATIONS = { inputs: 'inputs.archived', evaluations: 'evaluations.deleted' } as const;

/** Appends the record of what is taken out. @returns its place */
export async function recordRetention(
  tx: Tx,
  { newId, principal = schedulerPrincipal }: RetentionDeps,
  retention: Retention,
): Promise<number> {
  const active = await findActivation(tx);
  if (active === null) throw new Error('nothing can be recorded before a policy is active');
  const { what, from_place, to_place, count } = retention;
  const at_ms = momentOf(tx);
  const of = `of the records ${from_place} to ${to_place}`;
  const event = brokerEventEntry({
    id: newId(at_ms),
    at_ms,
    operation: OPERATIONS[what],
    principal,
    effect: 'allow',
    because:
      what === 'inputs'
        ? { code: 'inputs_archived', detail: `${count} inputs ${of} were moved to an archive.` }
        : { code: 'evaluations_deleted', detail: `${count} counts of evaluations ${of} were deleted.` },
    policy_hash: active.policy_hash,
    input: { ...retention },
  });
  return append(tx, { ...event, retention });
}
