import { type AddressInfo, createConnection, createServer, type ListenOptions, type Socket } from 'node:net';

/* Leads connections to the socket of a PostgreSQL server, so that a test can end or cut them. */

/** The name of the socket of a server in its folder. */
export const SOCKET = '.s.PGSQL.5432';

/** One connection: its two ends, and what ends both. */
export interface Ends {
  client: Socket;
  upstream: Socket;
  end(): void;
}

/** What leads connections on. */
export interface Forwarder {
  /** The port on which it listens, if it does on one. */
  port: number;
  /** Ends all connections that there are. */
  endAll(): void;
  close(): Promise<void>;
}

/**
 * Starts one.
 *
 * @param options.to the socket for the next connection, or null if it is refused
 * @param options.join how the ends are joined; everything goes through unless it is given
 */
export async function startForwarder({
  listen,
  to,
  join = joinAll,
}: {
  listen: ListenOptions;
  to: () => string | null;
  join?: (ends: Ends) => void;
}): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const path = to();
    if (path === null) {
      client.destroy();
      return;
    }
    const upstream = createConnection(path);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    join({ client, upstream, end });
  });
  await new Promise<void>((resolve) => server.listen(listen, resolve));
  const endAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    endAll,
    close: async () => {
      endAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function joinAll({ client, upstream }: Ends): void {
  client.pipe(upstream);
  upstream.pipe(client);
}
