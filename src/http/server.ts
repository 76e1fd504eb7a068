import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** How long a shutdown waits for requests in flight. */
const STOP_DEADLINE_MS = 10_000;

/** How long it waits for requests whose bodies have not arrived: nothing has begun for them. */
const BODY_DEADLINE_MS = 3000;

/**
 * How many new connections the kernel completes before they are accepted; it caps the number itself (`somaxconn`). A
 * connection that finds no room is tried again by its client after 1, 3 and 7 seconds.
 */
const BACKLOG = 4096;

/** The maximum size of the headers of a request, in bytes: the longest token twice, for a proof and cookies beside it. */
const MAX_HEADER_BYTES = 32 * 1024;

/** The answers that a stop waits for. */
const stopping = new WeakSet<ServerResponse>();

/** Tells an answer that its server stops. */
const STOP = Symbol('stop');

/** Whether the server of an answer stops. */
export function isStopping(res: ServerResponse): boolean {
  return stopping.has(res);
}

/** Calls a function once the server of an answer stops. An answer without an end of its own MUST end then. */
export function whenStopping(res: ServerResponse, end: () => void): void {
  if (isStopping(res)) end();
  else res.once(STOP, end);
}

/** A listening server and its address. */
export interface OpenSocket {
  /** Its address: `http://<host>:<port>`. */
  url: string;
  /** Hands requests to this listener, too. */
  serve(listener: RequestListener): void;
  /**
   * Stops accepting connections and waits for the requests in flight. Each open connection gets at most the answer of
   * the request that it is sending, with `Connection: close`; no later request on it has an effect. Connections without
   * a request are closed, also those that have never sent one. Timeouts prevent slow or incomplete requests from
   * blocking the stop.
   *
   * @param meanwhile other shutdown work to await
   * @see RFC 9112 section 9.6
   */
  stop(meanwhile?: () => Promise<void>): Promise<void>;
}

/** Where a socket listens. */
type Address = Readonly<{ host: string; port: number }>;

/** What to do about an address at which nothing can listen, by the code of the system. */
const LISTEN_REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another program listens there. Stop it if it is another broker, or set another port with listen.port or COUNTERSIGN_PORT',
  EACCES:
    'this user may not listen there: ports below 1024 belong to the system. Set a port from 1024 with listen.port or COUNTERSIGN_PORT',
  EADDRNOTAVAIL:
    'this machine does not have the address. Set one that it has with listen.host or COUNTERSIGN_HOST, such as 127.0.0.1, or 0.0.0.0 for all',
  ENOTFOUND: 'no host has this name. Set an address of this machine with listen.host or COUNTERSIGN_HOST',
};

async function bind(server: Server, { host, port }: Address): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, host, BACKLOG, resolve);
    });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const remedy = LISTEN_REMEDIES[code];
    if (remedy === undefined) throw error;
    throw new Error(`cannot listen on ${host}, port ${port} (${code}): ${remedy}`, { cause: error });
  }
}

/** Asserts that the address is free, before anything is created for a broker that could not listen. @throws Error if not */
export async function assertFree(address: Address): Promise<void> {
  const server = createServer();
  await bind(server, address);
  await new Promise((resolve) => server.close(resolve));
}

/** Opens the socket. @throws Error when the address is taken */
export async function listen(address: Address): Promise<OpenSocket> {
  const { host } = address;
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES });
  await bind(server, address);
  const bound = server.address() as AddressInfo;
  const answers = createAnswersInFlight();
  const listeners: RequestListener[] = [];
  server.on('connection', answers.connected);
  server.on('request', (req, res) => {
    if (answers.admit(req, res)) for (const listener of listeners) listener(req, res);
  });
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    serve: (listener) => {
      listeners.push(listener);
    },
    stop: async (meanwhile) => {
      answers.closeAll();
      const incomplete = setTimeout(answers.dropIncomplete, BODY_DEADLINE_MS);
      await closeServer(server, meanwhile);
      clearTimeout(incomplete);
    },
  };
}

async function closeServer(server: Server, meanwhile: (() => Promise<void>) | undefined): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
  await meanwhile?.();
  await closed;
  clearTimeout(deadline);
}

/**
 * The answers in flight, and which of them is the last one of its connection: one that says `Connection: close`, and during
 * a stop the newest.
 */
function createAnswersInFlight() {
  const open = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const ending = new WeakSet<Socket>();
  const newestOf = new WeakMap<Socket, ServerResponse>();
  let hasStopped = false;

  /** One for all answers, because each has one. */
  function closed(this: ServerResponse): void {
    open.delete(this);
  }

  function endWith(res: ServerResponse, socket: Socket): void {
    // Node then sends `Connection: close`, and closes the connection after the answer.
    res.shouldKeepAlive = false;
    ending.add(socket);
  }

  return {
    connected(socket: Socket): void {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    },
    /**
     * False for a request behind the last one of its connection: it gets no answer, so it may have no effect. What follows
     * an ambiguous request may be a part of it, or the request of somebody else. RFC 9112 sections 9.6 and 11.2
     */
    admit(req: IncomingMessage, res: ServerResponse): boolean {
      const { socket } = req;
      const former = newestOf.get(socket);
      if (ending.has(socket) || (former !== undefined && endsConnection(former))) return false;
      newestOf.set(socket, res);
      open.add(res);
      res.on('close', closed);
      if (hasStopped) {
        stopping.add(res);
        endWith(res, socket);
      }
      return true;
    },
    /** Closes the connections whose requests have not arrived whole. */
    dropIncomplete(): void {
      for (const { req } of open) if (!req.complete) req.socket.destroy();
    },
    /**
     * From now on each connection ends with its newest answer. Pipelined requests before it still get theirs. Node takes
     * a connection that has sent nothing, or a part of a head, for a busy one; here it is closed at once.
     */
    closeAll(): void {
      hasStopped = true;
      for (const res of open) {
        stopping.add(res);
        res.emit(STOP);
      }
      const newest = new Map<Socket, ServerResponse>();
      for (const res of open) newest.set(res.req.socket, res);
      for (const [socket, res] of newest) {
        // With its head sent, the answer cannot say so anymore, and the next request is the last one.
        if (!res.headersSent) endWith(res, socket);
      }
      for (const socket of sockets) if (!newest.has(socket)) socket.destroy();
    },
  };
}

/** Whether no request behind this answer counts: its request or the answer itself says so. */
function endsConnection(res: ServerResponse): boolean {
  return !res.shouldKeepAlive || /\bclose\b/i.test(String(res.getHeader('Connection') ?? ''));
}
