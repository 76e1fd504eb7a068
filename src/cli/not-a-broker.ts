import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/** The problem for a response that no broker sends. */
export const NOT_A_BROKER = {
  code: 'answer_not_understood',
  title: 'The response is not from a broker',
} as const;

/** The error when the address belongs to another service. @param missing what a broker's response would contain */
export function notABroker(address: string, missing: string): CliError {
  return new CliError(EXIT.error, {
    ...NOT_A_BROKER,
    detail: `${address} does not say ${missing}. Check that the URL belongs to a broker.`,
  });
}
