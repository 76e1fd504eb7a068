import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createBrowser } from '../../fixtures/identity/browser.ts';
import { WEB_CLIENT_SECRET } from '../../fixtures/identity/provider.ts';
import { startBroker } from '../../src/broker.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/logger.ts';
import { deriveSignIn } from '../../src/sessions/secrets.ts';
import { countsOf } from '../support/sqlite/rows.ts';
import { type HostileProvider, startHostileProvider } from './hostile-provider.ts';
import { SESSION, type SignInBench, signInSecrets, startSignInBench } from './support.ts';

/*
 * What a browser and a provider were told in confidence is in no file and no log line (design invariant 12), and a row of
 * the store is not enough to finish a sign-in or to go on with a session.
 */

let b: SignInBench;
let hostile: HostileProvider;
let log = '';
const secrets = new Map<string, string>();

beforeAll(async () => {
  hostile = await startHostileProvider(() => Date.now());
  b = await startSignInBench({ others: [hostile.config] });
  await b.t.broker.close();
  const sink = new Writable({
    write(chunk, _encoding, done) {
      log += String(chunk);
      done();
    },
  });
  const file = join(b.t.folder, 'countersign.yaml');
  const port = Number(new URL(b.t.url).port);
  const config = { ...loadConfig({ file, env: {} }), listen: { host: '127.0.0.1', port } };
  b.t.broker = await startBroker({ config, clock: b.t.clock, log: createLog('trace', sink) });
  await tell();
});
afterAll(async () => {
  await b.close();
  await hostile.close();
});

/** Signs in well, half, and badly, and keeps all that is secret on the way. */
async function tell(): Promise<void> {
  const atDemo = { query: { issuer: 'demo' } };
  const { browser, url } = await b.signInUntilAnswer('dana', atDemo);
  const [half = ''] = signInSecrets(browser);
  secrets.set('the cookie of a sign-in', half);
  for (const [name, value] of Object.entries(deriveSignIn(half))) secrets.set(`${name} of a sign-in`, value);
  secrets.set('the code', url.searchParams.get('code') ?? '');
  await browser.send(url);
  await browser.send(url);
  secrets.set('the cookie of a session', browser.cookies.get(SESSION) ?? '');
  await b.call(browser, 'GET', '/v1/sessions');
  await browser.send(`${b.t.url}/auth/account`);

  const waiting = await b.signInUntilAnswer('alex', atDemo);
  const [open = ''] = signInSecrets(waiting.browser);
  secrets.set('the cookie of one under way', open);
  for (const [name, value] of Object.entries(deriveSignIn(open)))
    secrets.set(`${name} of one under way`, value);

  const victim = createBrowser();
  const start = await victim.send(`${b.t.url}/auth/sign-in?issuer=hostile`);
  const asked = new URL(start.headers.get('location') ?? '').searchParams;
  const idToken = hostile.logoutToken({ nonce: asked.get('nonce'), events: undefined }, { typ: 'JWT' });
  secrets.set('a refused ID token', idToken.split('.')[2] ?? '');
  for (const status of [200, 400, 500]) {
    hostile.answer({
      status,
      body: { access_token: 'SECRET-ACCESS', id_token: idToken, error: idToken, token_type: 'Bearer' },
    });
    const again = createBrowser();
    const page = await again.send(`${b.t.url}/auth/sign-in?issuer=hostile`);
    const state = new URL(page.headers.get('location') ?? '').searchParams.get('state') ?? '';
    await again.send(
      `${b.t.url}/auth/callback?${new URLSearchParams({ code: 'SECRET-CODE', state, iss: hostile.issuer })}`,
    );
  }
  secrets.set('an access token', 'SECRET-ACCESS');
  secrets.set('a refused code', 'SECRET-CODE');
  const logout = hostile.logoutToken({ sid: 'sid-secret' });
  secrets.set('a logout token', logout.split('.')[2] ?? '');
  for (const token of [logout, logout, `${logout}x`]) {
    await fetch(`${b.t.url}/auth/backchannel-logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
    });
  }
  await b.press(browser, '/auth/sign-out');
  secrets.set('the secret of the client', WEB_CLIENT_SECRET);
}

it('has all of it', async () => {
  expect(log.split('\n').length).toBeGreaterThan(15);
  expect(log).toContain('/auth/callback');
  expect([...secrets.values()].every((secret) => secret.length > 10)).toBe(true);
  const { sessions, signIns } = countsOf(b.t.file, ['sessions', 'signIns']);
  expect(sessions).toBe(1);
  expect(signIns).toBeGreaterThan(0);
});

it('keeps none of it in its files', async () => {
  const names = await readdir(b.t.folder);
  expect(names).toContain('countersign.db');
  for (const name of names) {
    const bytes = await readFile(join(b.t.folder, name));
    for (const [what, secret] of secrets)
      expect([name, what, bytes.includes(secret)]).toEqual([name, what, false]);
  }
});

it('writes none of it into its log', () => {
  for (const [what, secret] of secrets) expect([what, log.includes(secret)]).toEqual([what, false]);
  expect(log).not.toMatch(/eyJ[\w-]{20,}/);
});
