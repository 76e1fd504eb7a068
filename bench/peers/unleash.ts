import { join } from 'node:path';
import { TOGGLE_FLAGS, toggleFlag } from '../flags.ts';
import type { Server } from '../measure.ts';
import { UNLEASH_ENVIRONMENT, UNLEASH_FEATURES } from '../scenarios.ts';
import { installPackage } from './npm.ts';
import { freePort, startOutside, together } from './outside.ts';
import { findPostgres, type Postgres, type RunningPostgres, startPostgres } from './postgres.ts';

const PACKAGE = 'unleash-server';
const VERSION = '8.2.0';
const ADMIN_TOKEN = '*:*.benchmark-of-another-program';

/** What is needed to start it. */
export interface Unleash {
  program: string;
  postgres: Postgres;
}

/** Unleash, with its server of PostgreSQL. */
export interface RunningUnleash {
  /** Both. */
  server: Server;
  /** May switch the flags of the toggles. */
  token: string;
  postgres: RunningPostgres;
}

/** Finds PostgreSQL, and installs the pinned version from npm. @throws Error if one of them cannot be had */
export async function installUnleash(): Promise<Unleash> {
  const postgres = await findPostgres();
  const folder = await installPackage(PACKAGE, VERSION);
  return { program: join(folder, 'dist/server.js'), postgres };
}

/** Starts it on a new database with the flags of the toggles, each switched once. */
export async function startUnleash({ program, postgres }: Unleash): Promise<RunningUnleash> {
  const database = await startPostgres(postgres);
  try {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const server = await startOutside({
      command: process.execPath,
      args: [program],
      env: {
        NODE_ENV: 'production',
        DATABASE_URL: database.url,
        DATABASE_SSL: 'false',
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: String(port),
        INIT_ADMIN_API_TOKENS: ADMIN_TOKEN,
        LOG_LEVEL: 'error',
        CHECK_VERSION: 'false',
        SEND_TELEMETRY: 'false',
      },
      url,
      isReady: async () => (await fetch(`${url}/health`)).ok,
    });
    await createFlags(url);
    return { server: together([database.server, server]), token: ADMIN_TOKEN, postgres: database };
  } catch (error) {
    await database.server.end();
    throw error;
  }
}

async function createFlags(url: string): Promise<void> {
  for (let place = 0; place < TOGGLE_FLAGS; place += 1) {
    const name = toggleFlag(place);
    await post(`${url}${UNLEASH_FEATURES}`, { name, type: 'release' });
    // The first time, it gets its strategy as well.
    for (const state of ['on', 'off']) {
      await post(`${url}${UNLEASH_FEATURES}/${name}/environments/${UNLEASH_ENVIRONMENT}/${state}`, {});
    }
  }
}

async function post(url: string, body: object): Promise<void> {
  const headers = { authorization: ADMIN_TOKEN, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
}
