import type { Entry } from '../log/entry.ts';
import { operatorPrincipal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { undecided } from './undecided.ts';

/** What an operator does at the machine, which no policy decides. */
export interface OperatorAct
  extends Pick<Entry, 'id' | 'at_ms' | 'operation' | 'freeze' | 'activates' | 'follows'> {
  /** The active policy. */
  policy_hash: string;
  /** Why it is allowed without a policy. */
  because: Reason;
  /** The operator's own words, and further facts for people. */
  note?: Reason;
}

/** The entry of an operator's act: an allow that the broker gives by itself. */
export function operatorEntry({ policy_hash, because, ...act }: OperatorAct): Entry {
  const principal = operatorPrincipal;
  const input = { operation: act.operation, principal, policy_hash };
  return { principal, ...undecided({ effect: 'allow', because, policy_hash, input }), ...act };
}
