import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Server } from '../measure.ts';
import { installPackage } from './npm.ts';
import { freePort, startOutside } from './outside.ts';

const PACKAGE = '@unleash/proxy';
const VERSION = '1.4.19';
/** What clients of the proxy send as `Authorization`. */
export const PROXY_KEY = 'benchmark-of-another-program';
const NEVER_MS = 2 ** 31 - 1;

/** Installs the pinned version from npm. @returns its program. @throws Error if it cannot be had */
export async function installUnleashProxy(): Promise<string> {
  return join(await installPackage(PACKAGE, VERSION), 'dist/start.js');
}

/** What a client asks it: all flags for one context, as `contextOf` has it. */
export function proxyQuestion(client: number) {
  const query = `userId=user-${client}&properties%5Borganization%5D=org-${client % 7}`;
  const headers = `Authorization: ${PROXY_KEY}\r\n`;
  return { method: 'GET', path: `/proxy?${query}`, token: null, body: undefined, headers };
}

/** Starts it on so many flags, each with one rule that every client matches: it leaves out what is off. */
export async function startUnleashProxy(program: string, flags: number): Promise<Server> {
  const features = Array.from({ length: flags }, (_, place) => featureOf(place));
  const api = createServer((req, res) => {
    req.resume();
    const body = req.url?.startsWith('/api/client/features') ? { version: 2, features } : {};
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const close = () => {
    api.close();
    api.closeAllConnections();
  };
  try {
    const server = await startOutside({
      command: process.execPath,
      args: [program],
      env: {
        NODE_ENV: 'production',
        UNLEASH_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}/api`,
        UNLEASH_API_TOKEN: PROXY_KEY,
        UNLEASH_PROXY_CLIENT_KEYS: PROXY_KEY,
        UNLEASH_FETCH_INTERVAL: String(NEVER_MS),
        LOG_LEVEL: 'error',
        PORT: String(port),
      },
      url,
      isReady: async () => {
        const { path } = proxyQuestion(0);
        const response = await fetch(`${url}${path}`, { headers: { authorization: PROXY_KEY } });
        return ((await response.json()) as { toggles?: object[] }).toggles?.length === flags;
      },
    });
    return {
      ...server,
      end: async () => {
        await server.end();
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

function featureOf(place: number): object {
  return {
    name: `bench-${place}`,
    type: 'release',
    enabled: true,
    strategies: [
      {
        name: 'default',
        parameters: {},
        constraints: [{ contextName: 'organization', operator: 'NOT_IN', values: ['acme', 'globex'] }],
      },
    ],
    variants: [],
  };
}
