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

  it('is told apart from others in every form in which a proxy writes addresses (RFC 7239 6)', async () => {
    t = await startTestBroker({
      config: {
        attempts_per_minute: 2,
        trusted_proxies: ['127.0.0.0/8', '10.0.0.0/8', '2001:db8:ffff::/48'],
      },
    });
    // Trusted proxies before the broker, with ports, mapped, in brackets: none of them is the client.
    const through = ['10.0.0.1:5000', '::ffff:10.0.0.2', '[::ffff:10.0.0.3]:443', '[2001:db8:ffff::1]:80'];
    for (const proxy of through) {
      const client = `198.51.${through.indexOf(proxy)}.1`;
      expect(await statuses(3, (index) => `${client}:${5000 + index}, ${proxy}`)).toEqual([400, 400, 429]);
    }
    expect(await statuses(1, () => '198.51.100.9:5000, 10.0.0.1:5000')).toEqual([400]);
  });

  it('is told by Forwarded where that is the header of the proxies, and by no other (RFC 7239)', async () => {
    t = await startTestBroker({
      config: { attempts_per_minute: 2, trusted_proxies: ['127.0.0.1'], proxy_header: 'Forwarded' },
    });
    const through = async (forwarded: string, index: number) =>
      (await postForm(t, '/oauth/token', {}, null, { forwarded, 'x-forwarded-for': `203.0.113.${index}` }))
        .status;
    const answers = [1, 2, 3].map((index) => () => through(`for="198.51.100.1:${index}";proto=https`, index));
    const given: number[] = [];
    for (const answer of answers) given.push(await answer());
    expect(given).toEqual([400, 400, 429]);
    expect(await through('for=198.51.100.1, for=198.51.100.2', 4)).toBe(400);
  });

  it('is refused everywhere it shows no valid identity, and nobody with one suffers for it', async () => {
    t = await startTestBroker({ config: { attempts_per_minute: 3 } });
    const reader = await t.workloadToken('checkout', { audience: 'data:development' });
    const tries: [string, string][] = [
      ['GET', '/v1/freezes'],
      ['POST', '/v1/requests'],
      ['POST', '/ofrep/v1/evaluate/flags'],
      ['GET', '/scim/v2/Users'],
      ['GET', '/v1/sessions'],
    ];
    const answers: number[] = [];
    for (const [method, path] of tries) {
      for (const who of ['not.a.token', null]) answers.push((await t.call(who, method, path)).status);
    }
    // One attempt of three was the exchange of the reader's token.
    expect(answers).toEqual([401, 401, ...Array(8).fill(429)]);
    for (const [method, path] of tries) {
      const refused = await t.call('not.a.token', method, path);
      expect(refused.status, path).toBe(429);
      expect(Number(refused.headers.get('retry-after')), path).toBeGreaterThan(0);
    }
    expect((await t.call('dana', 'GET', '/v1/freezes')).status).toBe(200);
    expect((await t.call(reader, 'POST', '/ofrep/v1/evaluate/flags')).status).toBe(200);
  });

  it('is refused for tokens that nobody can verify while their issuer is down', async () => {
    t = await startTestBroker({
      config: (defaults) => {
        const [issuer] = defaults.issuers as [Record<string, unknown>];
        // Nothing listens there.
        return { attempts_per_minute: 3, issuers: [{ ...issuer, jwks_uri: 'http://127.0.0.1:1/keys' }] };
      },
    });
    const token = await t.people.idToken('dana');
    const answers: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      answers.push((await t.call(token, 'GET', '/v1/freezes')).status);
    }
    expect(answers).toEqual([503, 503, 503, 429, 429]);
  });

  it('does not exist when no limit is set', async () => {
    t = await startTestBroker({ config: { attempts_per_minute: 0 } });
    expect(new Set(await statuses(50, () => undefined))).toEqual(new Set([400]));
  });
});
