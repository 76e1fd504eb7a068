import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { findPostgres, folderOf } from './postgres-server.ts';

/*
 * A PostgreSQL server for tests, from the machine's own package (Debian: `postgresql`). The test files of one run share it,
 * and each test has a database of its own. The server listens on a socket in its folder only, so it meets no other server,
 * and it ends with the run, however that ends.
 */

/** The process of this run. */
const RUNNER = Number(process.env.COUNTERSIGN_TEST_RUN);
const START_MS = 60_000;

/** A database of a test. */
export interface TestDatabase {
  /** Its address, as the configuration has it. */
  address: string;
  /** Runs statements as the owner of the server, on a connection of their own. */
  run(text: string): Promise<Record<string, unknown>[]>;
  remove(): Promise<void>;
  /** Runs statements in a transaction that stays open. @returns ends it */
  hold(text: string): Promise<() => Promise<void>>;
  /** Dumps it while it is in use, as a job of an operator does. @returns restores the dump into a new database */
  dump(): Promise<() => Promise<TestDatabase>>;
  /** Drops roles of the server, once nothing belongs to them any more. */
  dropRoles(...roles: string[]): Promise<void>;
}

/** Creates an empty database on the server of this run. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = await startServer();
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await runOn(server, 'postgres', `create database ${name}`);
  return {
    address: addressOf(server, name),
    run: (text) => runOn(server, name, text),
    remove: async () => {
      await runOn(server, 'postgres', `drop database ${name} with (force)`);
    },
    hold: async (text) => {
      const client = new Client({ connectionString: addressOf(server, name) });
      await client.connect();
      client.on('error', () => undefined);
      await client.query(`begin; ${text}`);
      return () => client.end();
    },
    dump: async () => {
      const file = join(server, `${name}.dump`);
      await runTool('pg_dump', ['--format=custom', `--file=${file}`, addressOf(server, name)]);
      return async () => {
        const restored = await createDatabase();
        await runTool('pg_restore', ['--exit-on-error', `--dbname=${restored.address}`, file]);
        return restored;
      };
    },
    dropRoles: async (...roles) => {
      await runOn(server, 'postgres', `drop role ${roles.join(', ')}`);
    },
  };
}

/** Runs a program of the server's package. */
async function runTool(name: string, words: readonly string[]): Promise<void> {
  await promisify(execFile)(join(findPostgres() ?? '', name), words, serverUser());
}

function addressOf(folder: string, database: string): string {
  return `postgres://postgres@${encodeURIComponent(folder)}/${database}`;
}

function runOn(folder: string, database: string, text: string): Promise<Record<string, unknown>[]> {
  return runAt(addressOf(folder, database), text);
}

/** Runs statements as the owner of the server, on a connection of their own. */
export async function runAt(address: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: address });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

let started: Promise<string> | null = null;

/** Starts the server of this run once, whichever of its processes comes first. @returns its folder */
function startServer(): Promise<string> {
  started ??= startOnce(folderOf(RUNNER));
  return started;
}

async function startOnce(folder: string): Promise<string> {
  let first: number | null = null;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    first = openSync(join(folder, 'first'), 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (first !== null) {
    closeSync(first);
    await start(folder);
  }
  const until = performance.now() + START_MS;
  for (;;) {
    try {
      await runOn(folder, 'postgres', 'select 1');
      return folder;
    } catch (error) {
      if (performance.now() > until) throw new Error('the PostgreSQL server did not start', { cause: error });
    }
    await setTimeout(50);
  }
}

async function start(folder: string): Promise<void> {
  const programs = findPostgres();
  if (programs === null) throw new Error('there is no PostgreSQL server on this machine');
  const as = serverUser();
  if (as.uid !== undefined) await chown(folder, as.uid, as.gid ?? as.uid);
  const data = join(folder, 'data');
  const setUp = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
  execFileSync(join(programs, 'initdb'), setUp, { ...as, cwd: folder, stdio: 'pipe' });
  // Shared by all test files, of which each has some connections.
  const settings = { listen_addresses: '', unix_socket_directories: folder, max_connections: '200' };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
  writeFileSync(join(data, 'postgresql.auto.conf'), lines.join(''));
  spawnServer(folder);
}

/** Starts a server on the data in its folder, which ends with this run and is then removed. @returns its process */
export function spawnServer(folder: string): number {
  const log = openSync(join(folder, 'log'), 'a');
  const server = spawn(join(findPostgres() ?? '', 'postgres'), ['-D', join(folder, 'data')], {
    ...serverUser(),
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  server.unref();
  endWithRun(server.pid ?? 0, { signal: 'QUIT', folder });
  return server.pid ?? 0;
}

/** Ends a process and removes its folder as soon as the run is over, also one that was killed. */
export function endWithRun(
  pid: number,
  { signal, folder }: { signal: 'QUIT' | 'TERM'; folder: string },
): void {
  const watch = `while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 1; done
    kill -${signal} "$2" 2>/dev/null
    while kill -0 "$2" 2>/dev/null; do sleep 1; done
    rm -rf "$3"`;
  const names = [String(RUNNER), String(pid), folder];
  spawn('sh', ['-c', watch, 'watch', ...names], { detached: true, stdio: 'ignore' }).unref();
}

/** The server refuses to run as root: then it runs as the user of its package. */
export function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (option: string) => Number(execFileSync('id', [option, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** Kills a server with all its processes, and waits for their end. */
export async function killServer(pid: number): Promise<void> {
  const pids = [pid, ...childrenOf(pid)];
  for (const each of pids) signal(each, 'SIGKILL');
  while (pids.some((each) => signal(each, 0))) await setTimeout(5);
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    // It has ended, or this system has no such list: then the server's processes notice its end by themselves.
    return [];
  }
}

/** @returns whether there is such a process that has not ended */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
