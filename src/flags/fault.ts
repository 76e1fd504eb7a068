import { BrokerError } from '../errors.ts';

/**
 * Refuses a change. `pointer` is relative to the change (`#/audience/organizations/0`); a caller with a list of changes
 * prefixes the position of this one.
 *
 * @throws BrokerError `invalid_change`, always
 */
export function refuseChange(pointer: string, detail: string): never {
  throw new BrokerError('invalid_change', detail, { errors: [{ pointer, detail }] });
}
