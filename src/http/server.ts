import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How long a shutdown waits for requests in flight. */
const STOP_DEADLINE_MS = 10_000;

/** A listening server and its address. */
export interface OpenSocket {
  server: Server;
  /** Its address: `http://<host>:<port>`. */
  url: string;
}

/** Opens the socket. @throws Error when the address is taken */
export async function listen({ host, port }: { host: string; port: number }): Promise<OpenSocket> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return { server, url: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}` };
}

/**
 * Stops accepting connections and waits for requests in flight. A timeout prevents slow or incomplete requests from
 * blocking the shutdown.
 *
 * @param meanwhile other shutdown work to await
 */
export async function stopListening(server: Server, meanwhile: () => Promise<void>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
  await meanwhile();
  await closed;
  clearTimeout(deadline);
}
