import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

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
 * Listens on a free port of 127.0.0.1.
 *
 * Any page in the browser can send requests here. A request without the secret `state` is refused, and the wait
 * continues.
 *
 * @see RFC 8252 section 7.3
 */
export async function openLoopback(state: string): Promise<Loopback> {
  const { promise: callback, resolve } = Promise.withResolvers<URL>();
  const server = createServer((request, response) => {
    const url = URL.canParse(request.url ?? '', redirectUri) ? new URL(request.url ?? '', redirectUri) : null;
    const isAnswer =
      request.method === 'GET' && url?.pathname === CALLBACK_PATH && url.searchParams.get('state') === state;
    response.writeHead(isAnswer ? 200 : 404, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'",
      // The address contains the authorization code.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(isAnswer ? PAGE : 'Not found.');
    if (isAnswer && url !== null) resolve(url);
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed).listen(0, '127.0.0.1', listening);
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

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Countersign</title></head>
<body><p>The sign-in response was received. You can close this page and return to the terminal.</p></body></html>`;
