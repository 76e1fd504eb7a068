import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { v7 as uuidv7 } from 'uuid';
import { createUsage } from './access/usage.ts';
import { createListener } from './app.ts';
import { createCallers } from './caller.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { activateFirst, type BundleOutcome } from './control/first-start.ts';
import { createScheduler, type Scheduler } from './control/scheduler.ts';
import { snapshotLoader } from './data/load-snapshot.ts';
import { createSnapshots } from './data/snapshot.ts';
import { createCursors } from './http/cursor.ts';
import type { Log } from './http/log.ts';
import { createMetrics } from './http/metrics.ts';
import { createRateLimit } from './http/rate-limit.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import { createKeySets } from './identity/jwks.ts';
import { createSigningKeys, type KeyStore, type StoredKey } from './identity/keys.ts';
import { trustRulesOf } from './identity/policy-trust.ts';
import { type Bundle, BundleError, readBundle } from './policy/bundle.ts';
import { createPolicies, createPolicy } from './policy/policies.ts';
import { openStore, type Store } from './store/database.ts';
import { listActiveFreezes } from './store/emergency.ts';
import {
  activePolicyHash,
  findBundleArchive,
  findMeta,
  insertSigningKey,
  listSigningKeys,
  retireSigningKey,
  setMeta,
} from './store/installation.ts';
import { countOpenRequests } from './store/requests.ts';
import type { Db } from './store/statement.ts';
import { authorizeExchange } from './tokens/authorize-exchange.ts';
import { createExchange } from './tokens/exchange.ts';
import { storedRevocations } from './use-case/stored-revocations.ts';
import type { ControlDeps } from './use-case/use-case.ts';
import { loadVersion } from './version.ts';

/** The bundle that comes with the broker, taken when the configuration names none. */
const SHIPPED_BUNDLE = fileURLToPath(new URL('../policies/bundle.tar.gz', import.meta.url));

/** How long a stop waits for requests in flight. */
const STOP_DEADLINE_MS = 10_000;

/** A running broker. */
export interface Broker {
  /** Where it listens. */
  url: string;
  policy: BundleOutcome;
  scheduler: Scheduler;
  store: Store;
  /** Finishes what it began: answers, the scheduler's look, the batch at the door. Then closes the store. */
  close(): Promise<void>;
}

/**
 * Opens every resource and starts listening.
 *
 * @param options.onFailure called when the store fails in a way that only a restart can mend
 * @throws Error, ConfigError or BundleError with a message for the operator
 */
export async function startBroker(options: {
  config: Config;
  clock: Clock;
  log: Log;
  onFailure?: (error: unknown) => void;
}): Promise<Broker> {
  const store = await openStore({
    file: options.config.database,
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
  });
  try {
    return await listen({ ...options, store, newId });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A UUID of version 7 for that moment. @see RFC 9562 section 5.7 */
function newId(nowMs: number): string {
  return uuidv7({ msecs: nowMs });
}

interface ListenDeps {
  config: Config;
  clock: Clock;
  log: Log;
  store: Store;
  newId: (nowMs: number) => string;
}

async function listen(deps: ListenDeps): Promise<Broker> {
  const { config, clock, log, store, newId } = deps;
  // 1. Policy first: without one nothing can be decided, and the broker does not start.
  const outcome = await takeBundle(deps);
  const policies = createPolicies<Db>({ activeHash: activePolicyHash, archive: findBundleArchive });
  const policy = await policies.active(store.read);
  trustRulesOf(policy);

  // 2. What is kept in memory of the store: snapshots for the data plane, the freezes that hold.
  const snapshots = createSnapshots({ load: snapshotLoader(store.read), log });
  for (const environment of policy.broker.environments.keys()) await snapshots.refresh(environment);
  const freezes = await watchFreezes(store);

  // 3. The parts, from the inside out.
  const metrics = createMetrics({
    openRequests: () => countOpenRequests(store.read),
    activeFreezes: () => freezes.active().length,
  });
  const revocations = storedRevocations(policies);
  await revocations.refresh(store.read);
  const usage = createUsage({ door: store.door, clock });
  const events = {
    flagsChanged: snapshots.put,
    freezesChanged: freezes.refresh,
    revocationsChanged: () => {
      revocations
        .refresh(store.read)
        .catch((error: unknown) => log.error({ err: error }, 'revocations not read'));
    },
    decided: metrics.decided,
    used: usage.used,
  };
  const control: ControlDeps = { store, policies, revocations, clock, newId, events };
  const signingKeys = await createSigningKeys({ store: keyStore(store), clock });
  const cursors = createCursors(await cursorSecret(store));
  const scheduler = createScheduler({ control, log, flushUsage: usage.flush });

  // 4. The socket, then the address: what the broker signs carries it.
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(config.listen.port, config.listen.host, resolve);
  });
  const url = addressOf(server, config.listen.host);
  const issuer = config.public_url ?? url;
  const keySets = createKeySets({ fetch, clock, log });
  const authenticator = createAuthenticator({
    issuer,
    personIssuers: config.issuers,
    keySets,
    signingKeys,
    clock,
    log,
    revoked: revocations.hitByLatest,
  });
  const exchange = createExchange({
    issuer,
    trustRules: () => trustRulesOf(policies.latest()),
    workloadIssuers: config.workload_issuers,
    keySets,
    signingKeys,
    clock,
    log,
    authorizeExchange: authorizeExchange(control),
  });
  server.on(
    'request',
    createListener({
      edge: {
        control,
        cursors,
        authenticate: createCallers({
          authenticator,
          revocations,
          read: store.read,
          limitCalls: createRateLimit(config.calls_per_minute),
          turnedAway: metrics.turnedAway,
          seen: usage.seen,
          log,
        }),
      },
      identity: { issuer, exchange, signingKeys },
      discovery: { issuers: config.issuers, version: loadVersion() },
      ofrep: {
        snapshots,
        clock,
        log,
        metrics: { answered: metrics.evaluated },
        authenticate: authenticator.authenticateData,
      },
      health: {
        checks: {
          store: () => activePolicyHash(store.read),
          policy: () => policies.active(store.read),
          keys: () => signingKeys.jwks(),
        },
      },
      metrics,
      clock,
      log,
      freezes: freezes.active,
    }),
  );
  return {
    url,
    policy: outcome,
    scheduler,
    store,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      // Whoever has sent half a request, or reads an answer too slowly, does not hold up the stop for ever.
      const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
      await scheduler.stop();
      await closed;
      clearTimeout(deadline);
      await usage.flush();
      await store.close();
    },
  };
}

/** The bundle that the configuration names counts on the first start only; later starts do without the file. */
async function takeBundle(deps: ListenDeps): Promise<BundleOutcome> {
  const file = deps.config.policy_bundle ?? SHIPPED_BUNDLE;
  const active = await activePolicyHash(deps.store.read);
  let bundle: Bundle;
  try {
    bundle = await readBundle(await readFile(file));
  } catch (error) {
    if (active === null)
      throw new BundleError(`the policy bundle ${file} cannot be used: ${(error as Error).message}`, error);
    return { kind: 'unreadable', hash: active, detail: (error as Error).message };
  }
  // Instantiated before it is stored: a bundle that cannot decide, or trusts too much, never becomes the active one.
  if (active === null) trustRulesOf(await createPolicy(bundle));
  return activateFirst(deps, bundle);
}

/** The active freezes as they are shown; read again after each change. */
async function watchFreezes(store: Store): Promise<{ active(): string[]; refresh(): void }> {
  const read = async () =>
    (await listActiveFreezes(store.read)).map(
      ({ scope, incident }) => `${scope};incident=${encodeURIComponent(incident).slice(0, 100)}`,
    );
  let active = await read();
  return {
    active: () => active,
    refresh: () => {
      void read().then((fresh) => {
        active = fresh;
      });
    },
  };
}

function keyStore({ door, read }: Store): KeyStore {
  return {
    list: async () => (await listSigningKeys(read)) as StoredKey[],
    insert: (key) => door.write((tx) => insertSigningKey(tx, key)),
    retire: (kid, retiresMs) => door.write((tx) => retireSigningKey(tx, kid, retiresMs)),
  };
}

/** The secret that list cursors are signed with; made once. */
async function cursorSecret({ door }: Store): Promise<Buffer> {
  return door.write(async (tx) => {
    const stored = await findMeta(tx, 'cursor_secret');
    if (stored !== null) return Buffer.from(stored, 'base64url');
    const secret = randomBytes(32);
    await setMeta(tx, 'cursor_secret', secret.toString('base64url'));
    return secret;
  });
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
