import type { Entry } from '../log/entry.ts';
import type { BrokerEventName } from '../operations.ts';
import { type Undecided, undecided } from '../policy/undecided.ts';
import { schedulerPrincipal } from '../principal.ts';

/** What the broker records by itself, without a decision of a policy. */
export interface BrokerEvent extends Pick<Entry, 'id' | 'at_ms'>, Omit<Undecided, 'input'> {
  operation: BrokerEventName;
  /** The members of its input, besides the operation and the principal. */
  input: Readonly<Record<string, unknown>>;
}

/** The entry of an event. */
export function brokerEventEntry({ id, at_ms, operation, input, ...event }: BrokerEvent): Entry {
  const principal = schedulerPrincipal;
  return {
    id,
    at_ms,
    operation,
    principal,
    ...undecided({ ...event, input: { ...input, operation, principal } }),
  };
}
