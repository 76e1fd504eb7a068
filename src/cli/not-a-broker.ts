import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/** What an answer is called that no broker gives. */
export const NOT_A_BROKER = {
  code: 'answer_not_understood',
  title: 'The answer is not that of a broker',
} as const;

/** Something answers there, and it is no broker. @param missing what a broker would have said there */
export function notABroker(address: string, missing: string): CliError {
  return new CliError(EXIT.error, {
    ...NOT_A_BROKER,
    detail: `${address} does not say ${missing}. Is the URL that of a broker?`,
  });
}
