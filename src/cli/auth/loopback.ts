import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../output/exit-codes.ts';

/** The path of the redirect URI. */
const CALLBACK_PATH = '/cb';

/** A local server that waits for one authorization response of the identity provider. */
export interface Loopback {
  redirectUri: string;
  /** The address that the browser opened. It has the expected `state`. */
  callback: Promise<URL>;
  close(): void;
}

/**
 * Listens on 127.0.0.1.
 *
 * @param port 0 takes a free port; another one is for providers that compare it
 * @throws CliError when the port is not free
 * Any page in the browser can send requests here. A request without the secret `state` is refused, and the wait
 * continues.
 *
 * @see RFC 8252 section 7.3
 */
export async function openLoopback(state: string, port: number): Promise<Loopback> {
  const { promise: callback, resolve } = Promise.withResolvers<URL>();
  const server = createServer((request, response) => {
    const url = URL.canParse(request.url ?? '', redirectUri) ? new URL(request.url ?? '', redirectUri) : null;
    const isAnswer =
      request.method === 'GET' && url?.pathname === CALLBACK_PATH && url.searchParams.get('state') === state;
    response.writeHead(isAnswer ? 200 : 404, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': CONTENT_SECURITY_POLICY,
      // The address contains the authorization code.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(isAnswer ? PAGE : NOT_FOUND);
    if (isAnswer && url !== null) resolve(url);
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed).listen(port, '127.0.0.1', listening);
  }).catch((error: unknown) => {
    throw portTaken(port, error);
  });
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}${CALLBACK_PATH}`;
  return {
    redirectUri,
    callback,
    close: () => {
      // Requests in flight complete, so the browser still gets its page.
      server.close();
      server.closeIdleConnections();
    },
  };
}

function portTaken(port: number, cause: unknown): CliError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new CliError(
    EXIT.error,
    {
      code: 'port_not_free',
      title: 'The sign-in cannot be received',
      detail: `Port ${port} of this machine is not free (${code ?? message}), and the provider redirects to that port only. End the program that uses it, such as another sign-in, or sign in with a code.`,
    },
    { cause, login: ['--device'] },
  );
}

const STYLE = `
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
header { font-weight: 600; margin-bottom: 2rem; }
`;

/** Only the style above counts: the page is in an address that others could know. */
const CONTENT_SECURITY_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'`;

const PAGE = page(
  'Go back to the terminal',
  'The answer of your identity provider has arrived. You can close this page; the terminal says whether you are signed in.',
);
const NOT_FOUND = page(
  'Nothing is here',
  'This address only receives the answer to a sign-in that is going on in a terminal.',
);

function page(title: string, text: string): string {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} · Countersign</title>
  <style>${STYLE}</style>
</head>
<body><header>Countersign</header><main><h1>${title}</h1><p>${text}</p></main></body>
</html>
`;
}
