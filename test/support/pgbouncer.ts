import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { runAt, serverUser } from './postgres.ts';
import { hasPostgres, SERVERS_FOLDER } from './postgres-server.ts';

/* PgBouncer in transaction mode before the server of the run, on a socket in a folder of its own. */

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path));

/** Whether this machine has PgBouncer and a server. Says loudly if it has not. */
export function hasPooler(what: string): boolean {
  if (PROGRAM !== undefined) return hasPostgres(what);
  process.stderr.write(
    `\nskipped: ${what}, because this machine has no PgBouncer (Debian: apt-get install pgbouncer)\n\n`,
  );
  return false;
}

/** A pooler. */
export interface Pooler {
  /** The address of the database through it. */
  address: string;
  close(): Promise<void>;
}

/**
 * Starts PgBouncer.
 *
 * @param address the database, by the socket of its server
 * @param settings more lines of its configuration
 */
export async function startPooler(
  address: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Pooler> {
  const [, host = '', database = ''] = /@([^/]+)\/(.+)$/.exec(address) ?? [];
  const folder = await mkdtemp(join(SERVERS_FOLDER, 'countersign-pooler-'));
  const as = serverUser();
  const all = {
    listen_port: '5432',
    unix_socket_dir: folder,
    auth_type: 'trust',
    auth_file: join(folder, 'users'),
    pool_mode: 'transaction',
    default_pool_size: '4',
    ...settings,
  };
  await writeFile(join(folder, 'users'), '"postgres" ""\n');
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]\n* = host=${decodeURIComponent(host)}\n[pgbouncer]\n${Object.entries(all)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join('')}`,
  );
  if (as.uid !== undefined) await chown(folder, as.uid, as.gid ?? as.uid);
  const child = spawn(PROGRAM ?? '', [join(folder, 'pgbouncer.ini')], {
    ...as,
    cwd: folder,
    stdio: 'ignore',
  });
  const through = `postgres://postgres@${encodeURIComponent(folder)}/${database}`;
  await untilItAnswers(through, child);
  return {
    address: through,
    close: async () => {
      child.kill('SIGKILL');
      await once(child, 'close');
      await rm(folder, { recursive: true });
    },
  };
}

async function untilItAnswers(address: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    try {
      await runAt(address, 'select 1');
      return;
    } catch {
      await setTimeout(20);
    }
  }
  throw new Error('PgBouncer has ended');
}
