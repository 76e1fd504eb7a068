import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { access, chown, mkdtemp, readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Server } from '../measure.ts';
import { freePort, startOutside } from './outside.ts';

const run = promisify(execFile);

/** Where Debian keeps the programs of each version. */
const DEBIAN = '/usr/lib/postgresql';
/** The database, and who it belongs to. */
const NAME = 'unleash';
/** PostgreSQL refuses to run as root. Debian's package makes a user of this name. */
const OWNER = 'postgres';

/** Who a process runs as. */
interface Owner {
  uid: number;
  gid: number;
}

/** PostgreSQL as it was found. */
export interface Postgres {
  /** The folder of its programs. */
  programs: string;
  owner: Owner | undefined;
}

/** @throws Error if there is no PostgreSQL, or nobody it could run as */
export async function findPostgres(): Promise<Postgres> {
  const programs = await findPrograms();
  if (programs === undefined) {
    throw new Error('It needs PostgreSQL on the path or in /usr/lib/postgresql: apt-get install postgresql');
  }
  return { programs, owner: process.getuid?.() === 0 ? await findOwner() : undefined };
}

async function findPrograms(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN).catch(() => []);
  const newestFirst = versions.toSorted((one, other) => Number(other) - Number(one));
  const folders = [
    ...newestFirst.map((version) => join(DEBIAN, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  for (const folder of folders) {
    const isThere = await access(join(folder, 'initdb')).then(
      () => true,
      () => false,
    );
    if (isThere) return folder;
  }
  return undefined;
}

async function findOwner(): Promise<Owner> {
  const users = await readFile('/etc/passwd', 'utf8');
  const [, uid, gid] = new RegExp(`^${OWNER}:[^:]*:(\\d+):(\\d+):`, 'm').exec(users) ?? [];
  if (uid === undefined) throw new Error(`PostgreSQL refuses to run as root, and there is no user ${OWNER}`);
  return { uid: Number(uid), gid: Number(gid) };
}

/** A server of PostgreSQL. */
export interface RunningPostgres {
  server: Server;
  /** The address of its first database. */
  url: string;
  /** Creates another one. @returns its address */
  addDatabase(name: string): Promise<string>;
}

/** Starts a new, empty database with the settings that PostgreSQL comes with: each commit is durable. */
export async function startPostgres({ programs, owner }: Postgres): Promise<RunningPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-postgres-'));
  // However this process ends.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  const files = join(folder, 'data');
  await run(join(programs, 'initdb'), ['-D', files, '-U', NAME, '--auth=trust', '--encoding=UTF8'], owner);
  const port = await freePort();
  const server = await startOutside({
    command: join(programs, 'postgres'),
    args: ['-D', files, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-k', folder],
    // Ends without waiting for those who are connected.
    signal: 'SIGINT',
    url: `http://127.0.0.1:${port}`,
    ...(owner === undefined ? {} : { owner }),
    isReady: () => accepts(port),
  });
  const addDatabase = async (name: string) => {
    await createDatabase(programs, port, name);
    return `postgres://${NAME}@127.0.0.1:${port}/${name}`;
  };
  return { url: await addDatabase(NAME), server, addDatabase };
}

/** It listens a moment before it lets anybody in. */
async function createDatabase(programs: string, port: number, name: string): Promise<void> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-U', NAME];
  for (let left = 50; ; left -= 1) {
    try {
      await run(join(programs, 'createdb'), [...args, name]);
      return;
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
