import { BrokerError } from '../errors.ts';

/** The default destination after a sign-in. */
export const ACCOUNT_PATH = '/auth/account';

const MAX_LENGTH = 2000;

/**
 * The path of this origin that a browser is redirected to after sign-in. Refuses everything that a browser could
 * interpret as another host: `//host`, `/\host`, and the tabs and line breaks that URL parsers drop.
 *
 * @throws BrokerError `invalid_request`
 */
export function parseReturnTo(value: string | undefined, origin: string): string {
  if (value === undefined || value === '') return ACCOUNT_PATH;
  const isPath =
    value.length <= MAX_LENGTH && /^\/(?![/\\])[\x21-\x7e]*$/.test(value) && !value.includes('\\');
  if (isPath && URL.canParse(value, origin) && new URL(value, origin).origin === new URL(origin).origin) {
    return value;
  }
  throw new BrokerError(
    'invalid_request',
    'return_to must be a path of this broker, such as /auth/account. Other sites are not allowed.',
  );
}
