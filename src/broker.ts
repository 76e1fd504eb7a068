import { existsSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createListener } from './app.ts';
import { type Inside, type InsideOptions, openInside } from './broker-inside.ts';
import { openSurface } from './broker-surface.ts';
import { type OpenFlagdSyncs, openFlagdSyncs } from './data/open-flagd-sync.ts';
import { assertFree, listen, type OpenSocket } from './http/server.ts';
import type { MasterKeyReport } from './keys/open-secrets.ts';
import { watchLog } from './log/watch-log.ts';
import type { BundleStart } from './policy/first-start.ts';
import { noBundle } from './policy/open-policies.ts';
import type { Scheduler } from './schedule/scheduler.ts';
import { openStore } from './store/database.ts';
import { isAddress } from './store/database-address.ts';
import { explainFileFault } from './store/file-faults.ts';
import type { Store } from './store/store.ts';
import { findSystemRefusal } from './store/system-refusal.ts';
import { logWalCheckpoints } from './store/wal-reports.ts';

/*
 * The only composition root, with `broker-inside.ts` and `broker-surface.ts`: every domain is opened there, from its own part of
 * the configuration and the domains opened before it. No other file depends on all of them.
 */

/** A running broker. */
export interface Broker {
  /** The address it listens on. */
  url: string;
  /** The addresses at which the sync of flagd is served. */
  flagdSync: readonly string[];
  /** The outcome for the bundle that the configuration names. */
  policy: BundleStart;
  /** The operations that the active bundle does not know, and so denies. */
  unknownOperations: readonly string[];
  masterKey: MasterKeyReport;
  /** What the operator should correct. */
  warnings: readonly { code: string; detail: string }[];
  scheduler: Scheduler;
  store: Store;
  /** Finishes pending answers, the scheduler's run and the writer's batch. Then closes the store. */
  close(): Promise<void>;
}

/** The options of a broker. */
export interface BrokerOptions extends Omit<InsideOptions, 'watch'> {
  /** Called if another process has taken the store over: this one must end. */
  onFailure?: (error: unknown) => void;
  /** Called for each HTTP request before it is answered. Tests check every answer with it. */
  observe?: RequestListener;
  /** Leaves all requests of the control and audit planes to Express. Tests compare the answers of both ways. */
  onlyExpress?: boolean;
  /** The folder of the built console. Default: none is served. */
  consoleFolder?: string | null;
}

/**
 * Opens every resource and starts listening.
 *
 * @throws Error, ConfigError or BundleError with a message for the operator
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { config, clock, log, onFailure } = options;
  // Before anything is created.
  const isOnServer = isAddress(config.database);
  if (config.policy_bundle === undefined && !isOnServer && !existsSync(config.database)) throw noBundle();
  await assertFree(config.listen);
  if (!isOnServer) assertCreatable(config.database);
  const store = await openStore({
    file: config.database,
    archiveFolder: config.retention.archive_folder,
    clock,
    log,
    onListenerFailure: (error) => log.error({ err: error }, 'a post-commit listener failed'),
    onWalCheckpoint: logWalCheckpoints(log),
    ...(onFailure === undefined ? {} : { onFailure }),
  });
  try {
    const watch = watchLog({ store, places: config.published_log, fetch, log });
    // Before anything is written.
    await watch.start();
    return await openOn(store, { ...options, watch });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Asserts that a first start can write, before it leaves a database without a policy behind. @throws Error if not */
function assertCreatable(database: string): void {
  const code = existsSync(database) ? null : findSystemRefusal(database);
  if (code !== null) throw explainFileFault(database, Object.assign(new Error(code), { code }));
}

async function openOn(store: Store, options: BrokerOptions & InsideOptions): Promise<Broker> {
  const inside = await openInside(store, options);
  // Listens before the surface is opened, because the broker signs its own address into tokens.
  const socket = await listen(options.config.listen);
  try {
    if (options.observe !== undefined) socket.serve(options.observe);
    const { onlyExpress = false, consoleFolder = null } = options;
    const { flagdSync, ...surface } = openSurface(inside, socket.url);
    socket.serve(createListener({ ...surface, onlyExpress, consoleFolder }));
    return running(inside, socket, await openFlagdSyncs(options.config.flagd_sync, flagdSync));
  } catch (error) {
    // An open socket would keep the process alive, and with it the port and the database.
    await socket.stop();
    throw error;
  }
}

function running(inside: Inside, socket: OpenSocket, sync: OpenFlagdSyncs): Broker {
  const { store, start, masterKeyReport, scheduler, usage, log } = inside;
  return {
    url: socket.url,
    flagdSync: sync.addresses,
    policy: start,
    unknownOperations: inside.unknownOperations(),
    masterKey: masterKeyReport,
    warnings: inside.warnings(),
    scheduler,
    store,
    close: async () => {
      await Promise.all([sync.stop(), socket.stop(scheduler.stop)]);
      // A store that takes no writes must still be closed.
      await inside.evaluations
        ?.flush()
        .catch((error: unknown) => log.warn({ err: error }, 'the last evaluations were not recorded'));
      await usage.flush().catch((error: unknown) => log.warn({ err: error }, 'the last uses were not noted'));
      await store.close();
    },
  };
}
