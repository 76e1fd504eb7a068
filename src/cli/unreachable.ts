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
      detail: `${broker} did not respond: ${reasonOf(cause)}. To name another one, use --broker or COUNTERSIGN_URL.`,
    },
    { transient: true, cause },
  );
}

/** What network errors mean, by their code, and what to do about each. */
const MEANINGS: readonly { codes: RegExp; means: string; remedy: string }[] = [
  {
    codes: /^ECONNREFUSED$/,
    means: 'nothing listens there',
    remedy: 'check that it is running, and its port',
  },
  {
    codes: /^(?:ENOTFOUND|EAI_AGAIN)$/,
    means: 'its host name was not found',
    remedy: 'check the name, and whether this network or VPN knows it',
  },
  {
    codes: /^(?:ECONNRESET|UND_ERR_SOCKET|EPIPE)$/,
    means: 'it closed the connection',
    remedy: 'check http and https, and a proxy in between, then try again',
  },
  {
    codes: /^(?:ETIMEDOUT|UND_ERR_\w*TIMEOUT|TimeoutError)$/,
    means: 'it did not answer in time',
    remedy: 'check a firewall or proxy in between, then try again',
  },
  {
    codes: /^(?:EHOSTUNREACH|ENETUNREACH)$/,
    means: 'the network does not reach it',
    remedy: 'check the network or VPN of this machine',
  },
  {
    codes: /CERT|SELF_SIGNED|UNABLE_TO/,
    means: 'its certificate is not trusted',
    remedy: 'name the file of its CA in NODE_EXTRA_CA_CERTS, or correct its host name or date',
  },
  {
    codes: /^(?:ERR_SSL|EPROTO)/,
    means: 'it does not speak TLS as expected',
    remedy: 'check http and https, and the port',
  },
];

/** What a network error means, with its code; null for another error. Fetch has it as the cause of its own error. */
export function networkMeaning(error: unknown): string | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as NodeJS.ErrnoException).code ?? at.name;
    const found = typeof code === 'string' ? MEANINGS.find(({ codes }) => codes.test(code)) : undefined;
    if (found !== undefined) return `${found.means} (${code}); ${found.remedy}`;
  }
  return null;
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return networkMeaning(error) ?? cause?.code ?? cause?.message ?? message ?? 'unknown';
}
