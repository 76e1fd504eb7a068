import type { Entry } from '../log/entry.ts';
import type { BrokerEventName } from '../operations.ts';
import { type Undecided, undecided } from '../policy/undecided.ts';
import { type Principal, schedulerPrincipal } from '../principal.ts';

/** What the broker records by itself, without a decision of a policy. */
export interface BrokerEvent extends Pick<Entry, 'id' | 'at_ms'>, Omit<Undecided, 'input'> {
  operation: BrokerEventName;
  /** Who had it done: the broker itself unless it is given. */
  principal?: Principal;
  /** The members of its input, besides the operation and the principal. */
  input: Readonly<Record<string, unknown>>;
}

/** The entry of an event. */
export function brokerEventEntry({
  id,
  at_ms,
  operation,
  input,
  principal = schedulerPrincipal,
  ...event
}: BrokerEvent): Entry {
  return {
    id,
    at_ms,
    operation,
    principal,
    ...undecided({ ...event, input: { ...input, operation, principal } }),
  };
}
