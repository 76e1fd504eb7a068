import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How long a stop waits for requests in flight. */
const STOP_DEADLINE_MS = 10_000;

/** A socket that listens, and where. */
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
 * Takes nothing new, and waits for what is in flight. Whoever has sent half a request, or reads an answer too slowly, does
 * not hold up the stop for ever.
 *
 * @param meanwhile what else has to end; it is awaited too
 */
export async function stopListening(server: Server, meanwhile: () => Promise<void>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
  await meanwhile();
  await closed;
  clearTimeout(deadline);
}
