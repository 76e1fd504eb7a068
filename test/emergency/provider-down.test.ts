import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Browser } from '../../fixtures/identity/browser.ts';
import { signIn } from '../../fixtures/identity/sign-in.ts';
import { signsIn } from '../cli/sign-in-support.ts';
import { createTerminal } from '../cli/support.ts';
import { type SignInBench, startSignInBench } from '../sessions/support.ts';
import type { Reply } from '../support/broker.ts';

/*
 * A responder freezes while the identity provider is down: a session or a token that is still valid is enough.
 */

let b: SignInBench;
let token: string;
let browser: Browser;

beforeEach(async () => {
  b = await startSignInBench();
  ({ browser } = await b.signIn('riley'));
  ({ id_token: token } = await signIn({ issuer: b.provider.issuer, person: 'riley' }));
});
afterEach(() => b.close());

const ORDER = { scope: 'all', incident: 'INC-7', reason: 'the provider is down' };

const freezeByToken = (): Promise<Reply> => b.t.call(token, 'POST', '/v1/freezes', ORDER);

/** From a page of the broker. */
function freezeBySession(): Promise<Reply> {
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  return b.t.call(null, 'POST', '/v1/freezes', ORDER, {
    cookie,
    origin: b.t.url,
    'sec-fetch-site': 'same-origin',
  });
}

it('with a browser session, which needs no provider, also after a restart of the broker', async () => {
  await b.provider.close();
  expect((await freezeBySession()).status).toBe(201);
  await b.restart();
  expect((await freezeBySession()).status).toBe(201);
});

it('with a token that was never used, by keys that were fetched before', async () => {
  // Somebody else has called, so the keys are there; they are no longer fresh.
  const other = await signIn({ issuer: b.provider.issuer, person: 'dana' });
  expect((await b.t.call(other.id_token, 'GET', '/v1/whoami')).status).toBe(200);
  await b.provider.close();
  b.t.clock.advance(14 * 60_000);
  expect((await freezeByToken()).status).toBe(201);
});

it('with the stored sign-in of the command line', async () => {
  const browser = signsIn({ person: 'riley' });
  const terminal = createTerminal(b.t, browser);
  expect((await terminal.run('login')).code).toBe(0);
  expect((await terminal.run('whoami')).code).toBe(0);
  await b.provider.close();
  const run = await terminal.run('freeze', '--all', '--incident', 'INC-7', '--reason', 'it is down', '--yes');
  expect(run).toMatchObject({ code: 0, err: '' });
});

it('with a token, at a broker that was started meanwhile with the keys in a file', async () => {
  const keys = await (await fetch(`${b.provider.issuer}/jwks`)).text();
  await b.provider.close();
  await b.restart();
  const refused = await freezeByToken();
  expect(refused).toMatchObject({ status: 503, body: { code: 'issuer_unavailable' } });

  await writeFile(join(b.t.folder, 'keys.json'), keys);
  const file = join(b.t.folder, 'countersign.yaml');
  const config = JSON.parse(await readFile(file, 'utf8'));
  config.issuers[0].jwks_file = 'keys.json';
  await writeFile(file, JSON.stringify(config));
  await b.restart();
  expect((await freezeByToken()).status).toBe(201);
});
