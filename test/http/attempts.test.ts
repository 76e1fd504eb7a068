import { afterEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { postForm } from '../tokens/forms.ts';

let t: TestBroker;

afterEach(() => t.close());

/** Tries the token endpoint with a form that is none, from an address that a proxy tells. */
const attempt = (from?: string): Promise<Reply> =>
  postForm(t, '/oauth/token', {}, null, from === undefined ? {} : { 'x-forwarded-for': from });

async function statuses(count: number, from: (index: number) => string | undefined): Promise<number[]> {
  const answers: number[] = [];
  for (let index = 0; index < count; index += 1) answers.push((await attempt(from(index))).status);
  return answers;
}

describe('an address that tries too often', () => {
  it('is told to wait, in the shape of the place, and may still call with a token', async () => {
    t = await startTestBroker({ config: { attempts_per_minute: 3 } });
    expect(await statuses(3, () => undefined)).toEqual([400, 400, 400]);
    const refused = await attempt();
    expect(refused.status).toBe(429);
    expect(refused.body).toEqual({
      error: 'temporarily_unavailable',
      error_description: expect.stringMatching(/^too many requests/),
      reference: refused.headers.get('x-request-id'),
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('cache-control')).toBe('no-store');

    for (const path of ['/oauth/revoke', '/oauth/introspect', '/oauth/none']) {
      expect((await postForm(t, path, { token: 'x' })).status).toBe(429);
    }
    expect((await postForm(t, '/OAuth/token', { token: 'x' })).status).toBe(404);
    const signIn = await fetch(`${t.url}/auth/sign-in`, { redirect: 'manual' });
    expect(signIn.status).toBe(429);
    expect(Number(signIn.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await t.call('dana', 'GET', '/v1/freezes')).status).toBe(200);
    for (const path of ['/.well-known/jwks.json', '/.well-known/oauth-authorization-server', '/healthz']) {
      expect((await t.call(null, 'GET', path)).status).toBe(200);
    }
  });

  it('is not helped by what it says about itself', async () => {
    t = await startTestBroker({ config: { attempts_per_minute: 2 } });
    expect(await statuses(4, (index) => `203.0.113.${index}`)).toEqual([400, 400, 429, 429]);
  });

  it('is told apart from others behind a trusted proxy, by what that proxy has seen', async () => {
    t = await startTestBroker({
      config: { attempts_per_minute: 2, trusted_proxies: ['127.0.0.0/8', '10.0.0.1'] },
    });
    expect(await statuses(3, () => '203.0.113.7')).toEqual([400, 400, 429]);
    expect(await statuses(1, () => '203.0.113.8')).toEqual([400]);
    // What stands before the last untrusted address is the caller's own word.
    expect(await statuses(2, (index) => `198.51.100.${index}, 203.0.113.7, 10.0.0.1`)).toEqual([429, 429]);
    // One network is one caller, and another port is not another one.
    expect(await statuses(3, (index) => `2001:db8:1:2::${index}`)).toEqual([400, 400, 429]);
    expect(await statuses(3, (index) => `203.0.113.9:${5000 + index}`)).toEqual([400, 400, 429]);
  });

  it('does not exist when no limit is set', async () => {
    t = await startTestBroker({ config: { attempts_per_minute: 0 } });
    expect(new Set(await statuses(50, () => undefined))).toEqual(new Set([400]));
  });
});
