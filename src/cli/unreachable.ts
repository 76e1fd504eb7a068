import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/** The timeout for a request of a command, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 30_000;

/** The error when the broker does not respond. Whether it acted is unknown. */
export function unreachable(broker: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'broker_unreachable',
      title: 'The broker did not respond',
      detail: `${broker} did not respond (${reasonOf(cause)}). Check that it is running, or name another one with --broker or COUNTERSIGN_URL.`,
    },
    { transient: true, cause },
  );
}

/** The network error is the cause of fetch's own error. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message ?? 'unknown';
}
