import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { endWithRun, killServer, runAt, serverUser } from './postgres.ts';
import { findPostgres, SERVERS_FOLDER } from './postgres-server.ts';

/*
 * Three PostgreSQL servers under Patroni, with etcd and HAProxy: what docs/examples/deployment has, with the ports and folders
 * of a test.
 */

const EXAMPLES = new URL('../../docs/examples/deployment/', import.meta.url);
const PROGRAMS = ['patroni', 'etcd', 'haproxy'];
const NAMES = ['pg1', 'pg2', 'pg3'];

/** Whether the programs are there. Says loudly if they are not. */
export function hasPatroni(): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  const missing = PROGRAMS.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  if (missing.length === 0 && findPostgres() !== null) return true;
  process.stderr.write(
    `\nskipped: failover by Patroni, because this machine lacks ${missing.join(', ')} (Debian: apt-get install postgresql patroni etcd-server python3-etcd haproxy)\n\n`,
  );
  return false;
}

/** Servers under Patroni. */
export interface PatroniCluster {
  /** The address of the database, which HAProxy leads to the primary. */
  address: string;
  /** The server that is the primary, once all of them run and one is a synchronous standby. */
  leader(): Promise<string>;
  /** Kills PostgreSQL on a server, and Patroni before it if that is wanted. */
  kill(name: string, what: { patroni: boolean }): Promise<void>;
  /** Starts Patroni on a server again. */
  restart(name: string): void;
  close(): Promise<void>;
}

/** Starts etcd, three servers and HAProxy. */
export async function startPatroni(): Promise<PatroniCluster> {
  const as = serverUser();
  const folder = await mkdtemp(join(SERVERS_FOLDER, 'countersign-patroni-'));
  if (as.uid !== undefined) await chown(folder, as.uid, as.gid ?? as.uid);
  const [client = 0, peer = 0, proxy = 0, ...rest] = await freePorts(3 + 2 * NAMES.length);
  const portsOf = (name: string) => {
    const at = 2 * NAMES.indexOf(name);
    return { pg: rest[at] ?? 0, api: rest[at + 1] ?? 0 };
  };
  const running = new Map<string, number>();
  const start = (name: string, program: string, words: readonly string[]) => {
    const log = openSync(join(folder, `${name}.log`), 'a');
    const child = spawn(program, words, { ...as, cwd: folder, stdio: ['ignore', log, log], env: ENV });
    closeSync(log);
    // Patroni ends its server, too.
    endWithRun(child.pid ?? 0, { signal: 'TERM', folder: join(folder, `${name}.pid`) });
    running.set(name, child.pid ?? 0);
  };

  const local = (port: number) => `http://127.0.0.1:${port}`;
  start('etcd', 'etcd', [
    ...['--data-dir', join(folder, 'etcd'), '--name', 'one'],
    ...['--listen-client-urls', local(client), '--advertise-client-urls', local(client)],
    ...['--listen-peer-urls', local(peer), '--initial-advertise-peer-urls', local(peer)],
    ...['--initial-cluster', `one=${local(peer)}`],
  ]);
  for (const name of NAMES) {
    const { pg, api } = portsOf(name);
    const own = join(folder, name);
    await mkdir(own, { mode: 0o700 });
    if (as.uid !== undefined) await chown(own, as.uid, as.gid ?? as.uid);
    const config = parse(await readFile(new URL('patroni.yml', EXAMPLES), 'utf8'));
    // The shortest that Patroni takes.
    Object.assign(config.bootstrap.dcs, { ttl: 20, loop_wait: 2, retry_timeout: 5 });
    Object.assign(config.postgresql, {
      listen: `127.0.0.1:${pg}`,
      connect_address: `127.0.0.1:${pg}`,
      data_dir: join(own, 'data'),
      bin_dir: findPostgres(),
      parameters: { unix_socket_directories: own },
      pg_hba: [
        'host all all 127.0.0.1/32 trust',
        'host replication all 127.0.0.1/32 trust',
        'local all all trust',
      ],
    });
    Object.assign(config, {
      name,
      restapi: { listen: `127.0.0.1:${api}`, connect_address: `127.0.0.1:${api}` },
      etcd3: { hosts: [`127.0.0.1:${client}`] },
    });
    await writeFile(join(folder, `${name}.yml`), stringify(config), { mode: 0o644 });
    start(name, 'patroni', [join(folder, `${name}.yml`)]);
  }
  const text = await readFile(new URL('haproxy.cfg', EXAMPLES), 'utf8');
  const proxied = text
    .replace('127.0.0.1:5000', `127.0.0.1:${proxy}`)
    .replaceAll(/server (pg\d) \S+ check port 8008/g, (_, name: string) => {
      const { pg, api } = portsOf(name);
      return `server ${name} 127.0.0.1:${pg} check port ${api}`;
    });
  await writeFile(join(folder, 'haproxy.cfg'), proxied, { mode: 0o644 });
  start('haproxy', 'haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')]);

  async function leader(): Promise<string> {
    const until = performance.now() + 180_000;
    let seen = '';
    while (performance.now() < until) {
      for (const name of NAMES) {
        try {
          const answer = await fetch(`${local(portsOf(name).api)}/cluster`);
          const { members } = (await answer.json()) as { members: Member[] };
          seen = JSON.stringify(members);
          const first = members.find(({ role }) => role === 'leader');
          if (first !== undefined && isWhole(members)) return first.name;
        } catch {
          // This one is away.
        }
      }
      await setTimeout(200);
    }
    const logs = [...running.keys()].map((name) => {
      const lines = readFileSync(join(folder, `${name}.log`), 'utf8')
        .split('\n')
        .slice(-8);
      return `${name}\n${lines.join('\n')}`;
    });
    throw new Error(`the servers are not whole: ${seen}\n${logs.join('\n')}`);
  }

  const owner = `postgres://postgres@127.0.0.1:${proxy}`;
  await leader();
  for (;;) {
    // HAProxy may not have seen it yet.
    const created = await runAt(`${owner}/postgres`, 'create database countersign').then(
      () => true,
      () => false,
    );
    if (created) break;
    await setTimeout(200);
  }

  return {
    address: `${owner}/countersign`,
    leader,
    kill: async (name, { patroni }) => {
      const [pid] = readFileSync(join(folder, name, 'data', 'postmaster.pid'), 'utf8').split('\n');
      if (patroni) await killServer(running.get(name) ?? 0);
      await killServer(Number(pid));
    },
    restart: (name) => start(name, 'patroni', [join(folder, `${name}.yml`)]),
    close: async () => {
      for (const name of NAMES) {
        await killServer(running.get(name) ?? 0);
        const file = join(folder, name, 'data', 'postmaster.pid');
        if (existsSync(file)) await killServer(Number(readFileSync(file, 'utf8').split('\n')[0]));
      }
      for (const name of ['haproxy', 'etcd']) await killServer(running.get(name) ?? 0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A server as Patroni describes it. */
interface Member {
  name: string;
  role: string;
  state: string;
  timeline?: number;
}

/** All run and follow one history: a server that is still being repaired does not survive the loss of the next one. */
function isWhole(members: readonly Member[]): boolean {
  const isUp = ({ state }: Member) => state === 'running' || state === 'streaming';
  const timelines = new Set(members.map(({ timeline }) => timeline));
  const hasStandby = members.some(({ role }) => role === 'sync_standby');
  return members.length === NAMES.length && members.every(isUp) && timelines.size === 1 && hasStandby;
}

/** Ports that nobody has. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Nothing of the test's own. */
const ENV = { PATH: `${process.env.PATH}${delimiter}/usr/sbin`, LANG: 'C.UTF-8' };
