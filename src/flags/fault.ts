import { BrokerError } from '../errors.ts';

/**
 * Refuses a change. `pointer` is relative to the change (`#/audience/organizations/0`); whoever holds a list of changes
 * puts the place of this one in front.
 *
 * @throws BrokerError `invalid_change`, always
 */
export function refuseChange(pointer: string, detail: string): never {
  throw new BrokerError('invalid_change', detail, { errors: [{ pointer, detail }] });
}
