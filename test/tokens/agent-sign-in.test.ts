import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser } from '../../fixtures/identity/browser.ts';
import { signIn } from '../../fixtures/identity/sign-in.ts';
import { type SignInBench, startSignInBench } from '../sessions/support.ts';
import type { Reply } from '../support/broker.ts';
import { approve, creation } from '../support/flags.ts';
import { addAgents, claimsOf, delegate, exchangeAsAgent } from './agents.ts';

/* From a real sign-in at a real identity provider to what an agent proposes, and to the end of it. */

let bench: SignInBench;

beforeAll(async () => {
  bench = await startSignInBench({
    editData: (data: { config: { trust_rules: Record<string, { issuer: string }> } }) => {
      const issuer = data.config.trust_rules['payments-deploy']?.issuer ?? '';
      addAgents(data, issuer, { environments: ['development', 'staging', 'production'] });
    },
  });
});
afterAll(() => bench.close());

const idToken = async (person: string): Promise<string> =>
  (await signIn({ issuer: bench.provider.issuer, person })).id_token;

/** Delegates from a page of the broker. */
function delegateInBrowser({ cookies }: Browser): Promise<Reply> {
  const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
  const headers = { cookie, origin: bench.t.url, 'sec-fetch-site': 'same-origin' };
  return bench.t.call(null, 'POST', '/v1/delegations', { agent: 'release-agent' }, headers);
}

async function tokenFor(delegation: string): Promise<string> {
  const { status, body } = await exchangeAsAgent(bench.t, delegation);
  expect(status).toBe(200);
  return body.access_token;
}

it('an agent proposes for whoever signed in, who cannot approve it, and another one can', async () => {
  const { t } = bench;
  const agent = await tokenFor((await delegate(t, await idToken('dana'))).body.delegation_token);
  const changes = [creation('from-an-agent')];
  const proposed = await t.call(agent, 'POST', '/v1/requests', {
    environment: 'production',
    changes,
    reason: 'the agent found it missing',
  });
  expect(proposed.body).toMatchObject({ state: 'pending', proposer: { kind: 'agent', person: 'emp-1001' } });
  for (const who of ['dana', 'dana-alt']) {
    const answer = await approve(t, await idToken(who), proposed.body);
    expect(answer.body.reasons).toContainEqual(expect.objectContaining({ code: 'self_approval' }));
  }
  const answer = await approve(t, await idToken('alex'), proposed.body);
  expect(answer.body).toMatchObject({ state: 'applied' });
});

it('a delegation from a browser session ends with the session, and the agent with it', async () => {
  const { t } = bench;
  const { browser } = await bench.signIn('dana');
  const { status, body } = await delegateInBrowser(browser);
  expect(status).toBe(201);
  expect(claimsOf(body.delegation_token).origins[0].token_id).toMatch(/^session:/);
  const agent = await tokenFor(body.delegation_token);
  expect((await t.call(agent, 'GET', '/v1/requests')).status).toBe(200);
  await bench.press(browser, '/auth/sign-out');
  expect((await t.call(agent, 'GET', '/v1/requests')).status).toBe(401);
  expect((await exchangeAsAgent(t, body.delegation_token)).status).toBe(400);
});

it('a delegation outlives a step-up, and still ends when its sponsor signs out', async () => {
  const { t } = bench;
  const { browser } = await bench.signIn('dana');
  const { body } = await delegateInBrowser(browser);
  const agent = await tokenFor(body.delegation_token);
  const other = await bench.signIn('dana');
  const elsewhere = await tokenFor((await delegateInBrowser(other.browser)).body.delegation_token);
  for (const mfa of [true, false]) {
    t.clock.advance(1000);
    await bench.signIn('dana', { browser, mfa });
    expect((await t.call(agent, 'GET', '/v1/requests')).status).toBe(200);
  }
  await bench.press(browser, '/auth/sign-out');
  expect((await t.call(agent, 'GET', '/v1/requests')).status).toBe(401);
  expect((await exchangeAsAgent(t, body.delegation_token)).status).toBe(400);
  // What she delegated in another browser, where she is still signed in, goes on.
  expect((await t.call(elsewhere, 'GET', '/v1/requests')).status).toBe(200);
});

it('no other site makes a browser delegate', async () => {
  const { browser } = await bench.signIn('dana');
  const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
  const answer = await bench.t.call(
    null,
    'POST',
    '/v1/delegations',
    { agent: 'release-agent' },
    {
      cookie,
      origin: 'https://elsewhere.example',
      'sec-fetch-site': 'cross-site',
    },
  );
  expect([answer.status, answer.body.code]).toEqual([403, 'cross_site']);
});
