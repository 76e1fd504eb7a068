import { afterAll, beforeAll, expect, it } from 'vitest';
import { exchange } from '../support/broker.ts';
import { SESSION, type SignInBench, startSignInBench } from './support.ts';

/** A policy that knows nothing of ending sessions and giving up tokens, as one of somebody's own may. */
let b: SignInBench;

beforeAll(async () => {
  b = await startSignInBench({
    editData: ({ config }: { config: { operations: Record<string, unknown> } }) => {
      delete config.operations['session.end'];
      delete config.operations['token.revoke'];
    },
  });
});
afterAll(() => b.close());

it('keeps nobody signed in', async () => {
  const { browser } = await b.signIn('dana');
  const pressed = await b.press(browser, '/auth/sign-out');
  expect(pressed.status).toBe(303);
  expect(browser.cookies.has(SESSION)).toBe(false);
  const [session] = await b.sessions();
  expect(session?.ended_ms).not.toBeNull();
  expect((await b.records()).at(-1)).toMatchObject({
    operation: 'session.end',
    outcome: 'deny',
    note: expect.stringContaining('Ended regardless of the policy decision'),
  });
});

it('keeps no token alive that its holder gives up', async () => {
  const { body } = await exchange(b.t.url, await b.t.ci.token());
  expect((await b.t.call(body.access_token, 'GET', '/v1/whoami')).status).toBe(200);
  const form = new URLSearchParams({ token: body.access_token });
  expect((await fetch(`${b.t.url}/oauth/revoke`, { method: 'POST', body: form })).status).toBe(200);
  expect((await b.t.call(body.access_token, 'GET', '/v1/whoami')).status).toBe(401);
});
