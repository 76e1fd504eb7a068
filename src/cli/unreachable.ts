import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/** How long anybody may take to answer a request of a command, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 30_000;

/** The broker gave no answer. Whether it did something is unknown. */
export function unreachable(broker: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'broker_unreachable',
      title: 'The broker gave no answer',
      detail: `${broker} gave no answer (${reasonOf(cause)}). Is it running? Name another one with --broker or COUNTERSIGN_URL.`,
    },
    { transient: true, cause },
  );
}

/** What went wrong on the way is in the cause of fetch's own error. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message ?? 'unknown';
}
