import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, createBrowser } from '../../fixtures/identity/browser.ts';
import { signIn as signInOnCommandLine } from '../../fixtures/identity/sign-in.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { SESSION, type SignInBench, signInSecrets, startSignInBench } from './support.ts';

/* What a request shows of who is calling: cookies, tokens, and where a browser says that it comes from. */

let b: SignInBench;
beforeAll(async () => {
  b = await startSignInBench();
});
afterAll(() => b.close());

/** Every route that a session can change something with, with ids that nobody has. */
function mutatingRoutes(): [string, string][] {
  return listRoutes(requestKinds)
    .filter(
      ({ method, caller, name }) =>
        method !== 'GET' && (caller === 'any' || caller === 'session' || name === 'signOut'),
    )
    .map(({ method, path }) => [method, path.replaceAll(/\{\w+\}/g, '01a1fdb7-73bd-7335-b876-90dc71916a5a')]);
}

async function signedIn(person: string): Promise<{ browser: Browser; id: string }> {
  const { browser } = await b.signIn(person);
  const { body } = await b.call(browser, 'GET', '/v1/whoami');
  return { browser, id: body.session };
}

describe('a cookie that is no session', () => {
  it.each(['', 'x', 'A'.repeat(43), 'A'.repeat(44), '__proto__', `${'A'.repeat(42)}=`, '"'.repeat(43)])(
    '%j is refused',
    async (value) => {
      const browser = createBrowser();
      browser.cookies.set(SESSION, value);
      const { status, body } = await b.call(browser, 'GET', '/v1/whoami');
      expect([status, body.code]).toEqual([401, 'unauthenticated']);
    },
  );

  it('is refused even together with a valid one', async () => {
    const { browser } = await signedIn('dana');
    const good = `${SESSION}=${browser.cookies.get(SESSION)}`;
    for (const cookie of [`${good}; ${SESSION}=x`, `${SESSION}=; ${good}`, `${good}; ${good}`]) {
      const { status } = await b.call(browser, 'GET', '/v1/whoami', { cookie });
      expect(status).toBe(401);
    }
    expect((await b.call(browser, 'GET', '/v1/whoami', { cookie: `a=b; ${good};c` })).status).toBe(200);
  });

  it('is what a neighbouring host can plant under a name that only looks alike', async () => {
    const { browser } = await signedIn('dana');
    const good = `${SESSION}=${browser.cookies.get(SESSION)}`;
    // Browsers keep the prefix for the host, but take `\u00a0__Host-…` from any neighbour, and send it as it is.
    for (const space of ['\u00a0', '\u0085', '\u00ad']) {
      for (const cookie of [`a=b; ${space}${good}`, `${space}${good}`, `a=b;${space}${good}`]) {
        expect((await b.call(browser, 'GET', '/v1/whoami', { cookie })).status).toBe(401);
      }
      const planted = `${space}${SESSION}=${'A'.repeat(43)}`;
      const { status } = await b.call(browser, 'GET', '/v1/whoami', { cookie: `${planted}; ${good}` });
      expect(status).toBe(200);
    }
    expect((await b.call(browser, 'GET', '/v1/whoami', { cookie: `a=b;\t ${good} \t;c` })).status).toBe(200);
  });

  it('of the session’s hash, its id, or a sign-in in progress, is refused', async () => {
    await signedIn('dana');
    const [row] = (await b.sessions()).slice(-1);
    const { browser: other } = await b.signInUntilAnswer('dana');
    const values = [row?.secret_hash ?? '', row?.id ?? '', signInSecrets(other)[0] ?? ''];
    for (const value of values) {
      expect(value).not.toBe('');
      const browser = createBrowser();
      browser.cookies.set(SESSION, value);
      expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    }
  });
});

describe('two ways to say who one is', () => {
  it('are refused together, whichever is good', async () => {
    const { browser } = await signedIn('dana');
    const { id_token } = await signInOnCommandLine({ issuer: b.provider.issuer, person: 'dana' });
    for (const headers of [
      { authorization: `Bearer ${id_token}` },
      { authorization: 'Bearer x' },
      { authorization: '' },
      { dpop: 'x' },
    ]) {
      const { status, body } = await b.call(browser, 'GET', '/v1/whoami', headers);
      expect([status, body.code]).toEqual([400, 'invalid_request']);
    }
    const stranger = createBrowser();
    stranger.cookies.set(SESSION, 'x');
    const bearer = { authorization: `Bearer ${id_token}` };
    expect((await b.call(stranger, 'GET', '/v1/whoami', bearer)).status).toBe(400);
  });

  it('each work alone, and whoami says which it was', async () => {
    const { id_token } = await signInOnCommandLine({ issuer: b.provider.issuer, person: 'dana' });
    const { status, body } = await b.t.call(id_token, 'GET', '/v1/whoami');
    expect(status).toBe(200);
    expect(body).toMatchObject({ principal: { id: 'person:demo:dana' }, session: null });
    expect(body.credential.token_id).toMatch(/^(jti|sha256):/);
    expect(JSON.stringify(body)).not.toContain(id_token.split('.')[2]);
    const workload = await b.t.call(await b.t.workloadToken(), 'GET', '/v1/whoami');
    expect(workload.body).toMatchObject({ principal: { kind: 'workload' }, session: null });
    expect((await b.t.call(null, 'GET', '/v1/whoami')).status).toBe(401);
  });
});

describe('what comes by a cookie', () => {
  it.each([
    '/v1/flags?environment=production',
    '/v1/requests',
    '/v1/freezes',
    '/v1/decisions',
    '/v1/nowhere',
  ])('%s is kept by nobody', async (path) => {
    const { browser } = await signedIn('dana');
    const { headers } = await b.call(browser, 'GET', path);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('is not what everybody may have', async () => {
    for (const path of [
      '/.well-known/jwks.json',
      '/auth/style.css',
      '/.well-known/oauth-authorization-server',
    ]) {
      const { headers, status } = await createBrowser().send(`${b.t.url}${path}`);
      expect([status, headers.get('cache-control')]).toEqual([200, expect.stringContaining('public')]);
    }
  });
});

describe('another site', () => {
  const from = (headers: Record<string, string>) => headers;

  it.each([
    ['says nothing', from({})],
    ['has another origin', from({ origin: 'https://evil.example' })],
    ['has a look-alike origin', from({ origin: 'http://127.0.0.1.evil.example' })],
    ['is on another port', from({ origin: 'http://127.0.0.1:1' })],
    ['hides its origin', from({ origin: 'null' })],
    ['is cross-site by the browser’s word', from({ 'sec-fetch-site': 'cross-site' })],
    ['is on the same site only', from({ 'sec-fetch-site': 'same-site' })],
    ['is no page at all', from({ 'sec-fetch-site': 'none' })],
    ['hides its origin and is cross-site', from({ origin: 'null', 'sec-fetch-site': 'cross-site' })],
  ])('that %s changes nothing', async (_name, headers) => {
    const { browser, id } = await signedIn('dana');
    for (const [method, path] of [
      ['DELETE', `/v1/sessions/${id}`],
      ['POST', '/v1/requests'],
      ['POST', '/auth/sign-out'],
      ['POST', `/auth/sessions/${id}/end`],
    ] as const) {
      const page = await browser.send(`${b.t.url}${path}`, { method, headers });
      expect([method, path, page.status]).toEqual([method, path, 403]);
    }
    const { body } = await b.call(browser, 'GET', '/v1/whoami');
    expect(body.session).toBe(id);
  });

  it('reaches no route that changes something, whatever it sends', async () => {
    const { browser } = await signedIn('sam');
    const mutating = mutatingRoutes();
    expect(mutating.length).toBeGreaterThan(20);
    const before = await b.records();
    for (const [method, path] of mutating) {
      for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
        const page = await browser.send(`${b.t.url}${path}`, {
          method,
          headers: { 'content-type': type, origin: 'https://evil.example' },
          ...(method === 'DELETE' ? {} : { form: {} }),
        });
        // What is no JSON may be refused before anybody is asked who they are.
        const status = type === 'application/json' || page.status !== 415 ? 403 : 415;
        expect([method, path, type, page.status]).toEqual([method, path, type, status]);
      }
    }
    expect(await b.records()).toEqual(before);
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
  });

  it('gets the code cross_site, with the origin that would be right', async () => {
    const { browser, id } = await signedIn('dana');
    const page = await browser.send(`${b.t.url}/v1/sessions/${id}`, { method: 'DELETE' });
    expect(JSON.parse(page.text)).toMatchObject({ code: 'cross_site', status: 403 });
    expect(JSON.parse(page.text).detail).toContain(b.t.url);
  });

  it('is refused when its headers contradict each other', async () => {
    const { browser, id } = await signedIn('dana');
    for (const headers of [
      { origin: b.t.url, 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
    ]) {
      expect((await browser.send(`${b.t.url}/v1/sessions/${id}`, { method: 'DELETE', headers })).status).toBe(
        403,
      );
    }
  });

  it('is none where a page of ours hides its origin and the browser vouches for it', async () => {
    const { browser, id } = await signedIn('dana');
    const headers = { origin: 'null', 'sec-fetch-site': 'same-origin' };
    expect((await browser.send(`${b.t.url}/v1/sessions/${id}`, { method: 'DELETE', headers })).status).toBe(
      204,
    );
  });

  it('does not concern who sends a token', async () => {
    const { id_token } = await signInOnCommandLine({ issuer: b.provider.issuer, person: 'dana' });
    const { status } = await b.t.call(
      id_token,
      'DELETE',
      '/v1/sessions/01a1fdb7-73bd-7335-b876-90dc71916a5a',
      undefined,
      {
        origin: 'https://elsewhere.example',
      },
    );
    expect(status).toBe(404);
  });
});
