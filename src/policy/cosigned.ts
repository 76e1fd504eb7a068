import type { BrokerData } from './data.ts';
import type { Obligation } from './decision.ts';
import type { PolicyInput } from './input.ts';
import { SAFETY } from './safety-rules.ts';

/*
 * Which decisions may wait for the witnesses of the log. They are somebody else's, and may be down: what makes things safer,
 * freezes, revocations and emergencies must never depend on them, whatever a policy says.
 */

/** The operations that may write what a request asks for, outside of an emergency. */
const WRITES: ReadonlySet<string> = new Set(['request.propose', 'request.schedule', 'request.apply']);

/** Whether a policy may make a decision wait for witnesses: it is about a change of flags that is not shown to be safe. */
export function mayWaitForWitnesses(
  { operation, request }: Pick<PolicyInput, 'operation' | 'request'>,
  data: Pick<BrokerData, 'exposure_order'>,
): boolean {
  if (!WRITES.has(operation) || request?.kind !== 'flag.change') return false;
  return !request.changes.every((change) => SAFETY.passesFreeze(change, data));
}

/** Whether an obligation is cleared by time or witnesses, so that no person has to do anything. */
export function clearsByItself({ kind }: Obligation): boolean {
  return kind === 'window' || kind === 'blackout' || kind === 'cosigned';
}
