import { randomBytes } from 'node:crypto';
import type { Evaluated } from '../data/answers.ts';
import type { AuthenticateReader, DataReader } from '../data/credentials.ts';
import { DEFINITIONS } from '../data/evaluation-tally.ts';
import { openFlagdSyncs } from '../data/open-flagd-sync.ts';
import { openFollowing } from '../data/open-following.ts';
import type { ChangeListener } from '../data/snapshot.ts';
import type { SyncListenerConfig } from '../data/sync-config.ts';
import { createClientAddress, type ProxyTrust } from '../http/client-address.ts';
import { limitAttempts } from '../http/rate-limit.ts';
import { createRelayMetrics } from '../http/relay-metrics.ts';
import { listen } from '../http/server.ts';
import type { Logger } from '../logger.ts';
import { loadVersion } from '../version.ts';
import { createReaders } from './authenticate.ts';
import { createBodyReader } from './body-thread.ts';
import { createEnvironment, type RelayEnvironment, type RelaySettings } from './environment.ts';
import { type RelayFault, type ShownFault, shownFault } from './fault.ts';
import { createRelayListener } from './listener.ts';
import { PACE, type Pace } from './pace.ts';
import { brokerSource, type Source } from './source.ts';
import type { RelayStatus } from './status.ts';
import { createRelayTokens, type ExchangeToken, type RelayTokens } from './tokens.ts';

/*
 * The relay: one process near the applications, which follows the snapshots of some environments, verifies each before it
 * serves it, keeps the last good one on disk, and serves evaluations and documents as a broker does. It needs neither policy nor
 * store, has public keys only, and may never write anything but its reports of reads. Nothing that its source says or fails to
 * say ends it, or takes away what it has verified.
 *
 * `environment.ts` puts together what one environment consists of: `follow.ts` asks, `held-snapshot.ts` verifies and holds,
 * `kept-files.ts` is the disk, `reports.ts` tells the broker.
 */

/** Where the snapshots come from. */
export type RelaySource =
  | { kind: 'broker'; broker: string; exchange: ExchangeToken }
  | { kind: 'place'; source: Source };

/** What a relay is started with. */
export interface RelayOptions {
  /** Its name, which stays the same when it restarts. */
  name: string;
  listen: { host: string; port: number };
  /** Other hosts that it serves. */
  hosts?: readonly string[];
  environments: readonly string[];
  settings: RelaySettings;
  /** The state folder, which must be there. */
  folder: string;
  source: RelaySource;
  /** Who reads; by the lists that the broker signs, unless it is given. */
  authenticate?: AuthenticateReader;
  /** Attempts of an address without a valid identity; 0 sets no limit. */
  attemptsPerMinute?: number;
  /** Which proxies say whose address a request comes from. */
  proxies?: ProxyTrust;
  /**
   * With it, applications are told of changes by streams. It is the same at all relays behind one address: each opens the
   * tickets of the others.
   */
  ticketSecret?: Buffer;
  /** Where the sync service of flagd listens. */
  flagdSync?: readonly SyncListenerConfig[];
  /** The URL at which applications reach it; default: where it listens. */
  publicUrl?: string;
  clock: () => number;
  log: Logger;
  random?: () => number;
  pace?: Partial<Pace>;
  fetch?: typeof globalThis.fetch;
}

/** A running relay. */
export interface Relay {
  url: string;
  /** Where the sync service of flagd listens. */
  flagdSync: readonly string[];
  status(): RelayStatus;
  /** Takes over what the operator has changed, and asks again for what was refused. */
  reload(settings: RelaySettings): void;
  /** The bootstrap file could not be read again; null: it can be. */
  reloadFailed(fault: RelayFault | null): void;
  /** Answers what has begun, reports what was read, and ends. */
  close(): Promise<void>;
}

const ATTEMPTS_PER_MINUTE = 300;
const SECRET_BYTES = 32;
const NO_PROXIES: ProxyTrust = { trusted: [], header: 'X-Forwarded-For' };

/**
 * Starts a relay. It resolves when it serves what it had kept, whether or not its source answers.
 *
 * @throws Error when the address is taken
 */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { name, clock, log, random = Math.random, fetch = globalThis.fetch } = options;
  const pace = { ...PACE, ...options.pace };
  const startedMs = clock();
  const stopping = new AbortController();
  let settings = options.settings;
  let configFault: ShownFault | null = null;

  const socket = await listen(options.listen);
  const publicUrl = options.publicUrl ?? socket.url;
  const readers = createReaders({ environments: options.environments, publicUrl, clock, log });
  const { authenticate = readers.authenticate } = options;

  const environments = new Map<string, RelayEnvironment>();
  const followers = new Set<ChangeListener>();
  const snapshots = {
    current: (environment: string) => environments.get(environment)?.served(),
    onChange: (listener: ChangeListener) => {
      followers.add(listener);
      return () => followers.delete(listener);
    },
  };
  const metrics = createRelayMetrics(() =>
    [...environments.values()].map((each) => {
      const { version, age_ms, state, connection, reports } = each.status();
      return {
        environment: each.name,
        version,
        ageS: age_ms === null ? null : age_ms / 1000,
        isStale: state === 'stale',
        isStreaming: connection.state === 'streaming',
        waiting: reports?.waiting ?? 0,
      };
    }),
  );

  const bodies = createBodyReader();
  const tokensOf = new Map<string, RelayTokens>();
  const source = openSource();
  for (const environment of options.environments) {
    const own = tokensOf.get(environment);
    const at = (what: string) =>
      own === undefined ? null : { address: `${source.name}/${environment}/${what}`, tokens: own, fetch };
    environments.set(
      environment,
      createEnvironment({
        name: environment,
        relay: name,
        folder: options.folder,
        source,
        stream: at(`events?relay=${encodeURIComponent(name)}`),
        reportTo: at('reports'),
        settings: () => settings,
        takeReaders: options.authenticate === undefined ? readers.take : null,
        ...{ bodies, pace, random, clock, log },
        faulted: (code) => metrics.faulted(environment, code),
        adopted: (seconds) => {
          metrics.propagated(environment, seconds);
          for (const listener of followers) listener(environment);
        },
      }),
    );
  }

  function openSource(): Source {
    if (options.source.kind === 'place') return options.source.source;
    const { broker, exchange } = options.source;
    for (const environment of options.environments)
      tokensOf.set(environment, createRelayTokens({ exchange, environment, clock, random, pace }));
    return brokerSource({ broker, tokensOf, fetch, answerMs: pace.answerMs });
  }

  // Without a secret that others have, too, no ticket is given out.
  const { ticketSecret } = options;
  const secret = ticketSecret ?? randomBytes(SECRET_BYTES);
  const following = { ...openFollowing({ snapshots, clock, secret, log }), ...readers.byToken };

  const status = (): RelayStatus => ({
    relay: name,
    version: loadVersion(),
    state: [...environments.values()].every((each) => each.isReady()) ? 'ready' : 'waiting',
    started_ms: startedMs,
    source: source.name,
    config_fault: configFault,
    environments: Object.fromEntries([...environments].map(([key, each]) => [key, each.status()])),
  });

  const read = (reader: DataReader, nowMs: number) => {
    environments.get(reader.environment)?.reports?.tally.note(reader, DEFINITIONS, nowMs);
  };
  const { attemptsPerMinute = ATTEMPTS_PER_MINUTE } = options;
  socket.serve(
    createRelayListener({
      snapshots,
      ...(ticketSecret === undefined ? {} : { streams: following }),
      ...{ authenticate, read, documents: following.documents },
      countAttempt: limitAttempts(attemptsPerMinute, createClientAddress(options.proxies ?? NO_PROXIES)),
      evaluated: (reader, what, nowMs) => {
        environments.get(reader.environment)?.reports?.tally.note(reader, what, nowMs);
        countReasons(what, metrics.evaluated);
      },
      ...{ status, metrics, clock, log },
      url: publicUrl,
      hosts: options.hosts ?? [],
    }),
  );
  const sync = await openFlagdSyncs(options.flagdSync ?? [], {
    ...following,
    ...{ authenticate, attemptsPerMinute, read, clock, log },
  }).catch(async (error: unknown) => {
    await socket.stop();
    throw error;
  });
  await Promise.all([...environments.values()].map((each) => each.start(stopping.signal)));

  return {
    url: socket.url,
    flagdSync: sync.addresses,
    status,
    reload: (changed) => {
      settings = changed;
      const keys = changed.keys.map(({ name: of, id }) => `${of}+${id}`);
      log.info({ keys }, 'the bootstrap file is taken over');
      for (const each of environments.values()) each.pollNow();
    },
    reloadFailed: (fault) => {
      const shown = fault === null ? null : shownFault(fault, clock());
      if (shown !== null && configFault === null) log.warn(shown, 'the bootstrap file is not taken over');
      configFault = shown;
    },
    close: () =>
      socket.stop(async () => {
        stopping.abort();
        await sync.stop();
        await Promise.all([...environments.values()].map((each) => each.done()));
        await bodies.close();
      }),
  };
}

/** How often each reason is in a list, which is the same object for the same answer. */
const reasonsByList = new WeakMap<readonly Evaluated[], ReadonlyMap<string, number>>();

function countReasons(
  what: Evaluated | readonly Evaluated[],
  count: (reason: string, times: number) => void,
): void {
  if ('key' in what) {
    count(what.reason, 1);
    return;
  }
  let reasons = reasonsByList.get(what);
  if (reasons === undefined) {
    const grouped = Map.groupBy(what, ({ reason }) => reason);
    reasons = new Map([...grouped].map(([reason, each]) => [reason, each.length]));
    reasonsByList.set(what, reasons);
  }
  for (const [reason, times] of reasons) count(reason, times);
}
