import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Credentials, DataReader } from '../../src/data/credentials.ts';
import { createOfrepListener, type OfrepDeps } from '../../src/data/ofrep.ts';
import { createSnapshots, type SnapshotFlag, type Snapshots } from '../../src/data/snapshot.ts';
import { BrokerError } from '../../src/errors.ts';
import { NOW_MS } from '../flags/samples.ts';

/** A real OFREP server whose flags and time the test sets. */
export interface OfrepServer {
  url: string;
  snapshots: Snapshots;
  /** What the next refresh loads, for the environment `production`. */
  store: { version: number; flags: SnapshotFlag[] };
  time: { nowMs: number };
  logged: object[];
  answered: string[];
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/**
 * Knows these tokens: `good` reads all of production, `only:<namespaces>` some namespaces of it, and `unknown` an
 * environment that is not loaded.
 */
export function authenticateSample({ authorization, apiKey }: Partial<Credentials>): DataReader {
  const token = apiKey ?? /^Bearer (.+)$/.exec(authorization ?? '')?.[1];
  const principal = { id: `workload:${token}` };
  if (token === 'good') return { environment: 'production', namespaces: ['*'], principal };
  if (token === 'unknown') return { environment: 'unknown', namespaces: ['*'], principal };
  if (token?.startsWith('only:'))
    return { environment: 'production', namespaces: token.slice('only:'.length).split(','), principal };
  throw new BrokerError('unauthenticated', 'Send a token of audience data:<environment>.');
}

/** Starts a server on a free port; requests that are not OFREP's get 418. */
export async function startOfrepServer(
  flags: SnapshotFlag[],
  authenticate: OfrepDeps['authenticate'] = authenticateSample,
): Promise<OfrepServer> {
  const store = { version: 1, flags };
  const time = { nowMs: NOW_MS };
  const logged: object[] = [];
  const answered: string[] = [];
  const snapshots = createSnapshots({
    load: async (environment) => (environment === 'production' ? { ...store } : null),
  });
  await snapshots.refresh('production');
  const listener = createOfrepListener({
    snapshots,
    authenticate,
    clock: () => time.nowMs,
    log: { error: (fields) => logged.push(fields) },
    metrics: { answered: (kind, status) => answered.push(`${kind} ${status}`) },
  });
  const server = createServer((req, res) => {
    if (!listener(req, res)) res.writeHead(418).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    snapshots,
    store,
    time,
    logged,
    answered,
    post: (path, body, headers = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: {
          authorization: 'Bearer good',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
