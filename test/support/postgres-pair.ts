import { execFile } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SOCKET, startForwarder } from './forwarder.ts';
import { killServer, runAt, serverUser, spawnServer } from './postgres.ts';
import { findPostgres, SERVERS_FOLDER } from './postgres-server.ts';

/*
 * Two PostgreSQL servers, of which one is the primary and the other its synchronous standby, behind one address. The servers
 * listen on sockets in their folder only; the address is a port of this machine.
 */

const run = promisify(execFile);

/** The name by which a standby is known to its primary. */
const STANDBY = 'standby';
const DATABASE = 'countersign';

/** A pair of servers. */
export interface PostgresPair {
  /** The address of the database, which leads to the primary. */
  address: string;
  /** The address of the standby. */
  standbyAddress(): string;
  /** Runs statements on the primary. */
  run(text: string): Promise<Record<string, unknown>[]>;
  /** Kills every process of the primary. */
  killPrimary(): Promise<void>;
  /** Lets the address lead to the standby, and ends all connections through it. */
  switchAddress(): void;
  /** Makes the standby the primary. Resolves once it accepts writes. */
  promote(): Promise<void>;
  /** Gives the present primary a new standby, and resolves once that has everything. */
  addStandby(): Promise<void>;
  close(): Promise<void>;
}

/** One server. */
interface Server {
  folder: string;
  pid: number;
}

/** Starts a primary and its standby. */
export async function startPair(): Promise<PostgresPair> {
  const programs = findPostgres();
  if (programs === null) throw new Error('there is no PostgreSQL server on this machine');
  const as = serverUser();
  const folder = await mkdtemp(join(SERVERS_FOLDER, 'countersign-pair-'));
  const own = async (path: string) => {
    if (as.uid !== undefined) await chown(path, as.uid, as.gid ?? as.uid);
  };
  await own(folder);
  let started = 0;
  let standby: Server | null = null;

  const addressOf = (server: Server, database = DATABASE) =>
    `postgres://postgres@${encodeURIComponent(server.folder)}/${database}`;

  async function newFolder(): Promise<string> {
    started += 1;
    const path = join(folder, `server-${started}`);
    await mkdir(path, { mode: 0o711 });
    await own(path);
    return path;
  }

  async function start(at: string, settings: Readonly<Record<string, string>>): Promise<Server> {
    // The last line for a setting counts.
    const all = { listen_addresses: '', unix_socket_directories: at, ...settings };
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`);
    appendFileSync(join(at, 'data', 'postgresql.auto.conf'), lines.join(''));
    const server = { folder: at, pid: spawnServer(at) };
    await untilDone(() => runAt(addressOf(server, 'postgres'), 'select 1'), server);
    return server;
  }

  async function startPrimary(): Promise<Server> {
    const at = await newFolder();
    const setUp = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
    await run(join(programs ?? '', 'initdb'), ['-D', join(at, 'data'), ...setUp], { ...as, cwd: at });
    const server = await start(at, {});
    await runAt(addressOf(server, 'postgres'), `create database ${DATABASE}`);
    return server;
  }

  async function addStandby(): Promise<void> {
    const at = await newFolder();
    const from = ['-h', primary.folder, '-U', 'postgres', '-X', 'stream', '-c', 'fast', '--no-sync', '-R'];
    await run(join(programs ?? '', 'pg_basebackup'), ['-D', join(at, 'data'), ...from], { ...as, cwd: at });
    standby = await start(at, {
      primary_conninfo: `host=${primary.folder} user=postgres application_name=${STANDBY}`,
      synchronous_standby_names: '',
    });
    await runAt(addressOf(primary), `alter system set synchronous_standby_names = '${STANDBY}'`);
    await runAt(addressOf(primary), 'select pg_reload_conf()');
    const state = 'select sync_state from pg_stat_replication';
    await untilDone(async () => {
      const [row] = await runAt(addressOf(primary), state);
      if (row?.sync_state !== 'sync') throw new Error(`the standby is ${row?.sync_state}`);
    }, standby);
  }

  let primary = await startPrimary();
  const forwarder = await startForwarder({
    listen: { port: 0, host: '127.0.0.1' },
    to: () => join(primary.folder, SOCKET),
  });
  await addStandby();

  return {
    address: `postgres://postgres@127.0.0.1:${forwarder.port}/${DATABASE}`,
    standbyAddress: () => {
      if (standby === null) throw new Error('there is no standby');
      return addressOf(standby);
    },
    run: (text) => runAt(addressOf(primary), text),
    killPrimary: () => killServer(primary.pid),
    switchAddress: () => {
      if (standby === null) throw new Error('there is no standby');
      primary = standby;
      standby = null;
      forwarder.endAll();
    },
    promote: async () => {
      await runAt(addressOf(primary), 'select pg_promote(true, 60)');
    },
    addStandby,
    close: async () => {
      await forwarder.close();
      for (const server of [primary, standby]) if (server !== null) await killServer(server.pid);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Tries until it succeeds, for at most a minute. @throws Error with the last lines of the server's log */
async function untilDone(attempt: () => Promise<unknown>, { folder }: Server): Promise<void> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (performance.now() > until) {
        const log = readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(-15).join('\n');
        throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
      }
    }
    await setTimeout(20);
  }
}
