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
    codes: /^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/,
    means: 'its certificate is not valid now',
    remedy: 'have it renewed, and check the clock of this machine',
  },
  {
    codes: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    means: 'its certificate is for another host name',
    remedy: 'use a name that the certificate has, or have one issued for this name',
  },
  {
    codes: /CERT|SELF_SIGNED|UNABLE_TO/,
    means: 'its certificate is not trusted',
    remedy:
      'set NODE_EXTRA_CA_CERTS to the file of the CA that issued it, or of the certificate itself if it is self-signed',
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
    // The code of a timeout is a number, and only its name tells.
    for (const code of [(at as NodeJS.ErrnoException).code, at.name]) {
      const found = typeof code === 'string' ? MEANINGS.find(({ codes }) => codes.test(code)) : undefined;
      if (found !== undefined) return `${found.means} (${code}); ${found.remedy}`;
    }
  }
  return null;
}

/** Reads the body of a response; null if it is not JSON. @throws CliError when it does not arrive */
export async function readJson(broker: string, response: Response): Promise<unknown> {
  const text = await arrived(broker, response.text());
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Waits for an answer or its body: a connection can also fail after the headers. @throws CliError when it does not arrive */
export async function arrived<T>(broker: string, arriving: Promise<T>): Promise<T> {
  return arriving.catch((error: unknown) => {
    throw unreachable(broker, error);
  });
}

/** Why a request got no answer, in plain words. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return networkMeaning(error) ?? cause?.code ?? cause?.message ?? message ?? 'unknown';
}
