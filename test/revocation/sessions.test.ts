import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Browser } from '../../fixtures/identity/browser.ts';
import { signIn } from '../../fixtures/identity/sign-in.ts';
import { type SignInBench, startSignInBench } from '../sessions/support.ts';
import type { Reply } from '../support/broker.ts';
import { INCIDENT } from './support.ts';

let bench: SignInBench;

beforeEach(async () => {
  bench = await startSignInBench();
});

afterEach(() => bench.close());

const status = async (browser: Browser) => (await bench.call(browser, 'GET', '/v1/whoami')).status;

/** Revokes as riley, who has signed in at the same provider on the command line. */
async function revoke(kind: string, value: string): Promise<Reply> {
  const { id_token } = await signIn({ issuer: bench.provider.issuer, person: 'riley' });
  bench.t.clock.set(Date.now() + 2000);
  return bench.t.call(id_token, 'POST', '/v1/revocations', { kind, value, ...INCIDENT });
}

describe('a browser session', () => {
  it.each<[string, (id: string) => string]>([
    ['session', (id) => `session:${id}`],
    ['session', (id) => id],
    ['subject', () => 'person:demo:dana'],
    ['subject', () => 'emp-1001'],
    ['class', () => 'person'],
  ])('ends by its %s, at once and for good', async (kind, named) => {
    const { browser } = await bench.signIn('dana');
    const [row] = await bench.sessions();
    expect(await status(browser)).toBe(200);
    const answer = await revoke(kind, named(row?.id ?? ''));
    expect(answer.body.hits.sessions).toMatchObject([{ id: row?.id, principal: 'person:demo:dana' }]);
    expect(await status(browser)).toBe(401);
    expect(await bench.sessions()).toMatchObject([{ ended_ms: bench.t.clock(), end_reason: 'revoked' }]);
  });

  it('of somebody else goes on', async () => {
    const { browser } = await bench.signIn('alex');
    const { browser: other } = await bench.signIn('dana');
    await revoke('subject', 'emp-1001');
    expect(await status(browser)).toBe(200);
    expect(await status(other)).toBe(401);
  });
});
