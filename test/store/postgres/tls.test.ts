import { execFileSync } from 'node:child_process';
import { appendFile, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openStore } from '../../../src/store/database.ts';
import { findMeta } from '../../../src/store/installation.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { killServer, runAt, serverUser, spawnServer } from '../../support/postgres.ts';
import { findPostgres, hasPostgres, SERVERS_FOLDER } from '../../support/postgres-server.ts';

/* TLS to the database, as docs/postgresql.md has it: a server that takes nothing else. */

describe.skipIf(!hasPostgres('TLS to PostgreSQL'))('TLS to the database', () => {
  const certificates = makeCertificates();
  let folder: string;
  let pid: number;
  let port: number;

  beforeAll(async () => {
    const as = serverUser();
    folder = await mkdtemp(join(SERVERS_FOLDER, 'countersign-tls-'));
    const setUp = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
    const data = join(folder, 'data');
    await mkdir(data);
    for (const path of [folder, data]) if (as.uid !== undefined) await chown(path, as.uid, as.gid ?? as.uid);
    execFileSync(join(findPostgres() ?? '', 'initdb'), ['-D', data, ...setUp], {
      ...as,
      cwd: folder,
      stdio: 'pipe',
    });
    port = await freePort();
    const { cert, key } = certificates.untrusted;
    for (const [name, text] of [
      ['server.crt', cert],
      ['server.key', key],
    ] as const) {
      await writeFile(join(data, name), text, { mode: 0o600 });
      if (as.uid !== undefined) await chown(join(data, name), as.uid, as.gid ?? as.uid);
    }
    await writeFile(join(folder, 'ca.pem'), certificates.ca);
    await writeFile(join(folder, 'other.pem'), certificates['self-signed'].cert);
    await writeFile(join(data, 'pg_hba.conf'), 'local all all trust\nhostssl all all 127.0.0.1/32 trust\n');
    const settings = `listen_addresses = '127.0.0.1'\nport = ${port}\nunix_socket_directories = '${folder}'\nssl = on\n`;
    await appendFile(join(data, 'postgresql.auto.conf'), settings);
    pid = spawnServer(folder);
    const local = `postgres://postgres@${encodeURIComponent(folder)}:${port}/postgres`;
    await vi.waitFor(() => runAt(local, 'select 1'), { timeout: 60_000 });
  });

  afterAll(async () => {
    await killServer(pid);
    await rm(folder, { recursive: true, force: true });
  });

  const address = (host: string, query: string) => `postgres://postgres@${host}:${port}/postgres${query}`;
  const verified = (ca: string) => `?sslmode=verify-full&sslrootcert=${encodeURIComponent(join(folder, ca))}`;
  const open = (file: string) => openStore({ file, clock: systemClock });

  it('is used by all connections of a broker, once the certificate of the server is that of the CA', async () => {
    const file = address('127.0.0.1', verified('ca.pem'));
    const store = await open(file);
    await findMeta(store.read, 'any');
    const sessions = `select bool_and(ssl) as encrypted, count(*)::int > 1 as several from pg_stat_ssl
      join pg_stat_activity using (pid) where application_name = 'countersign'`;
    expect(await runAt(file, sessions)).toEqual([{ encrypted: true, several: true }]);
    await store.close();
  });

  it.each([
    ['a server of another CA', '127.0.0.1', () => verified('other.pem'), /certificate/],
    ['a server that its certificate does not name', 'localhost', () => verified('ca.pem'), /altnames/],
    ['a connection without TLS', '127.0.0.1', () => '', /no encryption/],
  ])('refuses %s', async (_name, host, query, why) => {
    await expect(open(address(host, query()))).rejects.toThrow(why);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
