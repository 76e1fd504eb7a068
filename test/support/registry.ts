import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadTool } from './tools.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A registry of packages, as a company has one: its own packages, and everything else from the public one. */
export interface Registry {
  url: string;
  /** The line of `.npmrc` with which its only account publishes. */
  credentials: string;
  close(): Promise<void>;
}

/** Starts Verdaccio on a port of this machine. @param folder an empty one, for what is published */
export async function startRegistry(folder: string): Promise<Registry> {
  const { runServer } = await loadTool<Verdaccio>('registry', 'verdaccio');
  const upstream = (await run('npm', ['config', 'get', 'registry'], { cwd: ROOT })).stdout.trim();
  const server = await runServer(configurationOf(folder, upstream));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  return {
    url,
    credentials: `//127.0.0.1:${port}/:_authToken=${await createAccount(url)}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Verdaccio {
  runServer(configuration: object): Promise<Server>;
}

/** Only the own package may be published, and only by somebody signed in; the rest comes from upstream. */
function configurationOf(folder: string, upstream: string): object {
  return {
    self_path: folder,
    storage: join(folder, 'storage'),
    auth: { htpasswd: { file: join(folder, 'htpasswd'), max_users: 1 } },
    uplinks: { upstream: { url: upstream, cache: false } },
    packages: {
      countersign: { access: '$all', publish: '$authenticated' },
      '**': { access: '$all', proxy: 'upstream' },
    },
    web: { enable: false },
    log: { type: 'stdout', format: 'json', level: 'error' },
  };
}

/** As `npm adduser` does. @returns the token of the account */
async function createAccount(url: string): Promise<string> {
  const account = { name: 'publisher', password: randomUUID() };
  const answer = await fetch(`${url}-/user/org.couchdb.user:${account.name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account),
  });
  return ((await answer.json()) as { token: string }).token;
}
