import { BrokerError } from '../errors.ts';

/** Where a sign-in ends when it was told nothing else. */
export const ACCOUNT_PATH = '/auth/account';

const MAX_LENGTH = 2000;

/**
 * The path of this origin that a browser is sent to after sign-in. Everything that some browser could read as another
 * host is refused: `//host`, `/\host`, and the tabs and line ends that URL parsers drop.
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
    'return_to must be a path of this broker, such as /auth/account. Other sites are not possible.',
  );
}
