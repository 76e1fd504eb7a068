import { chmodSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { FlagdDocument } from './flagd-documents.ts';
import { createFlagdSync, type FlagdSyncDeps, MAX_DOCUMENT_BYTES, type SyncResponse } from './flagd-sync.ts';

/** Where the sync service listens. */
export interface SyncListener {
  /** `unix:<path>`, or `<host>:<port>`. */
  listen: string;
  /** Certificates: then clients show one that the authority has signed. */
  tls?: { cert_file: string; key_file: string; client_ca_file: string } | undefined;
}

/** A listening service. */
export interface OpenFlagdSync {
  /** Where it listens, with the port that it was given. */
  address: string;
  /** Ends all streams and calls. */
  stop(): Promise<void>;
}

/** How long a stop waits for clients to take the end of their streams. */
const STOP_MS = 1000;

/** A connection over which nothing comes back is closed. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 30_000, 'grpc.keepalive_timeout_ms': 10_000 };

/** Requests have a selector at most. */
const MAX_REQUEST_BYTES = 64 * 1024;

const UNIX = 'unix:';
const SERVICE = 'flagd.sync.v1.FlagSyncService';

/** Opens the service. @throws Error if nothing can listen there */
export async function openFlagdSync(at: SyncListener, deps: FlagdSyncDeps): Promise<OpenFlagdSync> {
  const server = new Server({
    ...KEEPALIVE,
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    // The document and its frame.
    'grpc.max_send_message_length': MAX_DOCUMENT_BYTES + MAX_REQUEST_BYTES,
  });
  const { endAll, ...handlers } = createFlagdSync(deps);
  server.addService(loadService(), { ...handlers });
  const path = at.listen.startsWith(UNIX) ? at.listen.slice(UNIX.length) : null;
  if (path !== null) await removeStaleSocket(path);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(at.listen, credentialsOf(at), (error, bound) => {
      if (error === null) resolve(bound);
      else
        reject(
          new Error(`cannot serve the sync of flagd at ${at.listen}: ${error.message}`, { cause: error }),
        );
    });
  });
  // Whoever is in the group of the socket's file may connect: flagd runs as another user.
  if (path !== null) chmodSync(path, 0o660);
  return {
    address: path === null ? at.listen.replace(/\d+$/, String(port)) : at.listen,
    stop: async () => {
      endAll();
      const isStopped = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const deadline = setTimeout(() => server.forceShutdown(), STOP_MS);
      await isStopped;
      clearTimeout(deadline);
      if (path !== null) rmSync(path, { force: true });
    },
  };
}

function credentialsOf({ tls }: SyncListener): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const [ca, cert_chain, private_key] = [tls.client_ca_file, tls.cert_file, tls.key_file].map((file) =>
    readFileSync(file),
  ) as [Buffer, Buffer, Buffer];
  return ServerCredentials.createSsl(ca, [{ cert_chain, private_key }], true);
}

/** The socket of a process that has crashed would be in the way. @throws Error if it is in use, or no socket */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is no socket. Remove it, or name another one.`);
  const isServed = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
  if (isServed) throw new Error(`another program listens on ${path}. Stop it, or name another socket.`);
  rmSync(path);
}

/** Each document is serialised once, however many clients get it. */
function loadService(): ServiceDefinition {
  const file = fileURLToPath(new URL('../../proto/flagd/sync/v1/sync.proto', import.meta.url));
  const service = loadSync(file, { keepCase: true })[SERVICE] as ServiceDefinition;
  const serialised = new WeakMap<FlagdDocument, Buffer>();
  const whole = ({ document, environment }: SyncResponse, serialise: (message: object) => Buffer): Buffer => {
    const known = serialised.get(document);
    if (known !== undefined) return known;
    const message = serialise({
      flag_configuration: document.body.toString(),
      sync_context: contextOf(environment),
    });
    serialised.set(document, message);
    return message;
  };
  const { SyncFlags, FetchAllFlags, GetMetadata } = service as Record<
    'SyncFlags' | 'FetchAllFlags' | 'GetMetadata',
    ServiceDefinition[string]
  >;
  return {
    SyncFlags: {
      ...SyncFlags,
      responseSerialize: (response: SyncResponse) => whole(response, SyncFlags.responseSerialize),
    },
    FetchAllFlags: {
      ...FetchAllFlags,
      responseSerialize: ({ document }: SyncResponse) =>
        FetchAllFlags.responseSerialize({ flag_configuration: document.body.toString() }),
    },
    GetMetadata: {
      ...GetMetadata,
      responseSerialize: ({ environment }: SyncResponse) =>
        GetMetadata.responseSerialize({ metadata: contextOf(environment) }),
    },
  };
}

/** What providers add to each context. Attributes that rules can read begin with a letter. */
function contextOf(environment: string): object {
  const own = { fields: { environment: { stringValue: environment } } };
  return { fields: { $countersign: { structValue: own } } };
}
