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

/** What network errors mean, by their code. */
const MEANINGS: readonly { codes: RegExp; means: string }[] = [
  { codes: /^ECONNREFUSED$/, means: 'nothing listens there' },
  { codes: /^(?:ENOTFOUND|EAI_AGAIN)$/, means: 'its host name was not found' },
  { codes: /^(?:ECONNRESET|UND_ERR_SOCKET|EPIPE)$/, means: 'it closed the connection' },
  { codes: /^(?:ETIMEDOUT|UND_ERR_\w*TIMEOUT|TimeoutError)$/, means: 'it did not answer in time' },
  { codes: /^(?:EHOSTUNREACH|ENETUNREACH)$/, means: 'the network does not reach it' },
  {
    codes: /CERT|SELF_SIGNED|UNABLE_TO/,
    means: 'its certificate is not trusted; name the CA file in NODE_EXTRA_CA_CERTS',
  },
  { codes: /^(?:ERR_SSL|EPROTO)/, means: 'it does not speak TLS as expected; check http and https' },
];

/** What a network error means, with its code; null for another error. Fetch has it as the cause of its own error. */
export function networkMeaning(error: unknown): string | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as NodeJS.ErrnoException).code ?? at.name;
    const found = typeof code === 'string' ? MEANINGS.find(({ codes }) => codes.test(code)) : undefined;
    if (found !== undefined) return `${found.means}: ${code}`;
  }
  return null;
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return networkMeaning(error) ?? cause?.code ?? cause?.message ?? message ?? 'unknown';
}
