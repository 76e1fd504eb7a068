import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The path that the provider sends the browser back to. */
const CALLBACK_PATH = '/cb';

/** A server on this machine that waits for one answer of the identity provider. */
export interface Loopback {
  redirectUri: string;
  /** The address as the browser opened it. Only one with the expected `state` counts. */
  callback: Promise<URL>;
  close(): void;
}

/**
 * Listens on a free port of 127.0.0.1.
 *
 * Any page that the browser shows can send requests here, so that an answer without the secret `state` is refused and
 * the wait goes on.
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
      // The address holds the code.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(isAnswer ? PAGE : 'Nothing is here.');
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
      // What was begun ends: the browser still gets its page.
      server.close();
      server.closeIdleConnections();
    },
  };
}

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Countersign</title></head>
<body><p>The answer has arrived. You can close this page and go back to the terminal.</p></body></html>`;
