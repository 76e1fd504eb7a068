import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { v7 as uuidv7 } from 'uuid';
import { type AppDeps, createListener } from './app.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import type { RequestKinds } from './decide/control.ts';
import { createRateLimit } from './http/rate-limit.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import { createCallers } from './identity/callers.ts';
import { withKeys } from './issuers/key-sets.ts';
import type { MasterKeyOutcome } from './keys/open-secrets.ts';
import type { Logger } from './logger.ts';
import { openParts, type Parts, type PartsDeps } from './parts.ts';
import type { BundleOutcome } from './policy/first-start.ts';
import { requestKinds } from './requests/kinds/kinds.ts';
import type { Scheduler } from './schedule/scheduler.ts';
import { createProviders } from './sessions/providers.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSignIn } from './sessions/sign-in.ts';
import { openStore, type Store } from './store/database.ts';
import { findActivation } from './store/policies.ts';
import { authorizeExchange } from './tokens/authorize-exchange.ts';
import { createExchange } from './tokens/exchange.ts';
import type { SubjectDeps } from './tokens/subject.ts';
import { trustRulesOf } from './trust/policy-rules.ts';
import { loadVersion } from './version.ts';

/** How long a stop waits for requests in flight. */
const STOP_DEADLINE_MS = 10_000;

/** A running broker. */
export interface Broker {
  /** Where it listens. */
  url: string;
  policy: BundleOutcome;
  masterKey: MasterKeyOutcome;
  scheduler: Scheduler;
  store: Store;
  /** Finishes what it began: answers, the scheduler's look, the batch at the writer. Then closes the store. */
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
  log: Logger;
  onFailure?: (error: unknown) => void;
  /** What requests can be about. Default: what the broker comes with. */
  kinds?: RequestKinds;
}): Promise<Broker> {
  const store = await openStore({
    file: options.config.database,
    clock: options.clock,
    onListenerFailure: (error) => options.log.error({ err: error }, 'a listener after a commit failed'),
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
  });
  try {
    return await listen({ kinds: requestKinds, ...options, store, newId });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A UUID of version 7 for that moment. @see RFC 9562 section 5.7 */
function newId(nowMs: number): string {
  return uuidv7({ msecs: nowMs });
}

async function listen(deps: PartsDeps): Promise<Broker> {
  const parts = await openParts(deps);
  // The socket, then the address: what the broker signs carries it.
  const server = await bind(deps.config.listen);
  const url = addressOf(server, deps.config.listen.host);
  try {
    server.on('request', createListener(appDeps(deps, parts, url)));
  } catch (error) {
    // An open socket would hold the process, and with it the port and the database, for ever.
    server.close();
    throw error;
  }
  const { policy, masterKey, scheduler } = parts;
  const close = () => stop(server, parts, deps.store);
  return { url, policy, masterKey, scheduler, store: deps.store, close };
}

async function bind({ host, port }: Config['listen']): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return server;
}

/** Everything that the HTTP surface is built from. @param url where the broker listens */
function appDeps(deps: PartsDeps, parts: Parts, url: string): AppDeps {
  const { config, clock, log, store } = deps;
  const { control, signingKeys, keySets, metrics, snapshots, usage } = parts;
  const { policies, revocations } = control;
  const issuer = config.public_url ?? url;
  const limitCalls = createRateLimit(config.calls_per_minute);
  const { authenticator, trust, exchange, providers, sessions, signIn } = createIdentity(deps, parts, {
    issuer,
    limitCalls,
  });
  return {
    edge: {
      control,
      cursors: parts.cursors,
      authenticate: createCallers({
        authenticator,
        sessions,
        revocations,
        read: store.read,
        limitCalls,
        turnedAway: metrics.turnedAway,
        seen: usage.seen,
        log,
      }),
    },
    identity: { issuer, exchange, signingKeys },
    browser: { sessions, providers, signIn, publicUrl: issuer },
    providerLogout: { control, issuers: providers.issuers, keySets, clock, log },
    trust,
    tokenStatus: { examine: authenticator.examine, issuer, signingKeys, log },
    revocation: { personIssuers: config.issuers.map((configured) => configured.issuer) },
    drill: { url },
    provisioning: { naming: config.provisioning },
    flushUsage: usage.flush,
    trustedProxies: config.trusted_proxies,
    attemptsPerMinute: config.attempts_per_minute,
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
        store: () => findActivation(store.read),
        policy: () => policies.active(store.read),
        keys: () => signingKeys.jwks(),
      },
    },
    metrics,
    clock,
    log,
    freezes: parts.freezes,
  };
}

/** Who is calling, by whatever they show. @param issuer the public URL: the `iss` of what the broker signs */
function createIdentity(
  { config, clock, log, store }: PartsDeps,
  { control, signingKeys, keySets }: Parts,
  { issuer, limitCalls }: { issuer: string; limitCalls: (principalId: string) => Promise<void> },
) {
  const { policies, revocations } = control;
  const authenticator = createAuthenticator({
    issuer,
    personIssuers: withKeys(config.issuers, keySets),
    keySets,
    signingKeys,
    clock,
    log,
    revoked: revocations.hitByLatest,
  });
  const trust: SubjectDeps = {
    issuer,
    workloadIssuers: config.workload_issuers,
    personIssuers: config.issuers,
    keySets,
    clock,
    log,
  };
  const exchange = createExchange({
    ...trust,
    presentTrust: async () => {
      const policy = await policies.active(store.read);
      return { policy_hash: policy.hash, rules: trustRulesOf(policy) };
    },
    signingKeys,
    authorizeExchange: authorizeExchange(control),
  });
  const providers = createProviders({ issuers: config.issuers, fetch, clock, log });
  const sessions = createSessions({
    store,
    issuers: config.issuers,
    publicUrl: issuer,
    limits: config.sessions,
    clock,
    log,
  });
  const signIn = createSignIn({
    control,
    sessions,
    providers,
    authenticator,
    limitCalls,
    publicUrl: issuer,
    clock,
    log,
  });
  return { authenticator, trust, exchange, providers, sessions, signIn };
}

/** Finishes what was begun, then closes the store. */
async function stop(server: Server, { scheduler, usage }: Parts, store: Store): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  // Whoever has sent half a request, or reads an answer too slowly, does not hold up the stop for ever.
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
  await scheduler.stop();
  await closed;
  clearTimeout(deadline);
  await usage.flush();
  await store.close();
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
