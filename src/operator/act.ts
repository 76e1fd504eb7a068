import type { Clock } from '../clock.ts';
import { append } from '../log/append.ts';
import { type OperatorAct, operatorEntry } from '../policy/operator-entry.ts';
import { findActivation } from '../store/policies.ts';
import type { Tx } from '../store/statement.ts';
import type { Store } from '../store/store.ts';

/*
 * What only an operator can decide, at the machine and on the database of a stopped broker, because no identity and no
 * clock can be trusted then. Each act is one write with its record. It can stop and void things; only `recover-policy.ts` can
 * allow anything, since it replaces the policy.
 */

/** The dependencies of an act. */
export interface ActDeps {
  store: Store;
  clock: Clock;
  newId: (nowMs: number) => string;
}

/** An act that has nothing to do, or cannot be done; the message is for the operator. */
export class ActRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ActRefused';
  }
}

/** Appends the record of an act. @throws ActRefused before the first start: nothing can be recorded without a policy */
export async function recordAct(tx: Tx, act: Omit<OperatorAct, 'policy_hash'>): Promise<void> {
  const active = await findActivation(tx);
  if (active === null)
    throw new ActRefused('The database has never been used by a broker, so it has no policy.');
  await append(tx, operatorEntry({ ...act, policy_hash: active.policy_hash }));
}
