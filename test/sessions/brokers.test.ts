import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser } from '../../fixtures/identity/browser.ts';
import { follow } from '../events/stream.ts';
import type { TestBroker } from '../support/broker.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { hasPostgres } from '../support/postgres-server.ts';
import { cookieOf } from '../surface/bench.ts';
import { type SignInBench, startSignInBench } from './support.ts';

/* A person's browser meets two brokers on one database, as behind a balancer. */

describe.skipIf(!hasPostgres('browser sessions at several brokers'))('a session in a browser', () => {
  let database: TestDatabase;
  let b: SignInBench;
  let other: TestBroker;

  beforeAll(async () => {
    database = await createDatabase();
    b = await startSignInBench({ config: { database: database.address } });
    const file = join(b.t.folder, 'countersign.yaml');
    const config = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...config, public_url: b.t.url }));
    other = await b.t.another();
  });
  afterAll(async () => {
    await other.close();
    await b.close();
    await database.remove();
  });

  const headers = () => ({ origin: b.t.url, 'sec-fetch-site': 'same-origin' });
  const statusAt = async (t: TestBroker, browser: Browser) =>
    (await browser.send(`${t.url}/v1/whoami`, { headers: headers() })).status;

  it('that the one opened is one at the other, and ends at both with the sign-out at either', async () => {
    for (const [here, there] of [
      [b.t, other],
      [other, b.t],
    ] as const) {
      const { browser } = await b.signIn('dana');
      // A sign-out takes the cookie away; what is left of it somewhere else is tried, too.
      const kept = new Map(browser.cookies);
      expect([await statusAt(here, browser), await statusAt(there, browser)]).toEqual([200, 200]);
      await browser.send(`${here.url}/auth/sign-out`, { method: 'POST', headers: headers() });
      for (const [name, value] of kept) browser.cookies.set(name, value);
      expect([await statusAt(here, browser), await statusAt(there, browser)]).toEqual([401, 401]);
    }
  });

  it('follows the events of either at the other, until the sign-out', async () => {
    const { browser } = await b.signIn('riley');
    const cookie = cookieOf(browser);
    const clients = await Promise.all([b.t, other].map((t) => follow(t, { cookie, ...headers() })));
    const order = { scope: 'environment', environment: 'staging', incident: 'INC-1', reason: 'a test' };
    const content = { 'content-type': 'application/json', 'idempotency-key': 'freeze-1' };
    const engaged = await fetch(`${other.url}/v1/freezes`, {
      method: 'POST',
      headers: { cookie, ...headers(), ...content },
      body: JSON.stringify(order),
    });
    expect(engaged.status).toBe(201);
    const told = await Promise.all(clients.map((client) => client.until(({ event }) => event === 'freeze')));
    expect(told[0]).toEqual(told[1]);
    await browser.send(`${other.url}/auth/sign-out`, { method: 'POST', headers: headers() });
    await Promise.all(clients.map(({ ended }) => ended));
  });
});
