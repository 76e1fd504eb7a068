import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBrowser } from '../../fixtures/identity/browser.ts';
import { PROBLEMS } from '../../src/problems.ts';
import { signInCookie } from '../../src/sessions/cookies.ts';
import { countsOf, readRevocations } from '../support/sqlite/rows.ts';
import { SESSION, type SignInBench, signInSecrets, startSignInBench } from './support.ts';

const FAILED = 'sign_in_failed';

let b: SignInBench;
beforeAll(async () => {
  b = await startSignInBench();
});
afterAll(() => b.close());

/** The address of the provider's answer with one parameter changed; undefined takes it away. */
function altered(url: URL, changes: Record<string, string | undefined>): URL {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) changed.searchParams.delete(name);
    else changed.searchParams.set(name, value);
  }
  return changed;
}

describe('signing in with a browser', () => {
  it('ends on the account page, which says who is signed in', async () => {
    const { page } = await b.signIn('dana');
    expect(page.status).toBe(200);
    expect(page.url.href).toBe(`${b.t.url}/auth/account`);
    expect(page.text).toContain('person:demo:dana');
    expect(page.text).toContain('emp-1001');
  });

  it('sends the browser where it wanted to go', async () => {
    const { page } = await b.signIn('dana', { query: { return_to: '/v1/flags?environment=production' } });
    expect(page.url.href).toBe(`${b.t.url}/v1/flags?environment=production`);
    expect(page.status).toBe(200);
  });

  it('sets cookies that only this host can set, read and send, and takes the first away', async () => {
    const browser = createBrowser();
    const start = await browser.send(`${b.t.url}/auth/sign-in`);
    expect(start.status).toBe(303);
    expect(start.headers.get('cache-control')).toBe('no-store');
    const [cookie] = start.headers.getSetCookie();
    expect(cookie).toMatch(
      /^__Host-countersign-sign-in-[\w-]{8}=[\w-]{43}; Max-Age=600; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/,
    );
    const { browser: other, url } = await b.signInUntilAnswer('dana');
    const end = await other.send(url);
    expect(end.headers.getSetCookie().find((each) => each.startsWith(`${SESSION}=`))).toMatch(
      /^__Host-countersign-session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    expect(signInSecrets(other)).toEqual([]);
  });

  it('asks the provider with PKCE, state and nonce, all different each time', async () => {
    const asked = async () => {
      const { headers } = await createBrowser().send(`${b.t.url}/auth/sign-in`);
      return Object.fromEntries(new URL(headers.get('location') ?? '').searchParams);
    };
    const [one, other] = [await asked(), await asked()];
    expect(one).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: `${b.t.url}/auth/callback`,
      scope: 'openid',
    });
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(one[name]).toMatch(/^[\w-]{43}$/);
      expect(one[name]).not.toBe(other[name]);
    }
  });

  it('is decided by policy and recorded, with the session and the ID token that opened it named', async () => {
    const before = (await b.records()).length;
    await b.signIn('alex');
    const [record, ...more] = (await b.records()).slice(before);
    expect(more).toEqual([]);
    expect(record).toMatchObject({
      operation: 'session.open',
      outcome: 'allow',
      principal: 'person:demo:alex',
      note: (await b.sessions()).at(-1)?.id,
    });
    expect(record?.token).toMatch(/^(jti|sha256):/);
  });

  it('goes on after a restart in the middle', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    await b.restart();
    const page = await browser.visit(url);
    expect([page.status, page.url.pathname]).toEqual([200, '/auth/account']);
    await b.restart();
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.id).toBe('person:demo:dana');
  });
});

describe('an answer of the provider', () => {
  let opened = 0;
  beforeEach(async () => {
    opened = (await b.sessions()).length;
  });

  async function expectRefused(page: { status: number; text: string; headers: Headers }, says: string) {
    expect(page.status).toBe(400);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.text).toContain(PROBLEMS[FAILED].title);
    expect(page.text).toContain(says);
    expect(page.headers.getSetCookie().filter((cookie) => cookie.startsWith(SESSION))).toEqual([]);
    expect((await b.sessions()).length).toBe(opened);
  }

  it.each([
    ['with another state', { state: 'A'.repeat(43) }, 'this browser has no pending sign-in'],
    ['without a state', { state: undefined }, 'this browser has no pending sign-in'],
    ['from another issuer', { iss: 'http://127.0.0.1:1' }, 'not a valid response of'],
    ['without the issuer that the metadata promises', { iss: undefined }, 'not a valid response of'],
    ['with another code', { code: 'A'.repeat(43) }, 'did not accept the code: invalid_grant'],
    ['without a code', { code: undefined }, 'not a valid response of'],
    ['that is an error', { code: undefined, error: 'access_denied' }, 'did not sign you in: access_denied'],
  ])('%s is refused', async (_name, changes, says) => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    await expectRefused(await browser.send(altered(url, changes)), says);
  });

  it.each(['state', 'code', 'iss'])('that names %s twice is refused', async (name) => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    url.searchParams.append(name, url.searchParams.get(name) ?? '');
    await expectRefused(await browser.send(url), 'Start again');
  });

  it('with another state leaves the sign-in as it is: a link from elsewhere cannot end it', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    await browser.send(altered(url, { state: 'A'.repeat(43) }));
    expect((await browser.visit(url)).status).toBe(200);
  });

  it('is refused in a browser that did not ask: nobody is signed in as somebody else', async () => {
    const { url } = await b.signInUntilAnswer('dana');
    await expectRefused(await createBrowser().send(url), 'this browser has no pending sign-in');
    const victim = createBrowser();
    await victim.send(`${b.t.url}/auth/sign-in`);
    await expectRefused(await victim.send(url), 'this browser has no pending sign-in');
    // Not even where the name of its cookie is the right one.
    const [planted = ''] = signInSecrets(victim);
    victim.cookies.set(signInCookie(url.searchParams.get('state') ?? ''), planted);
    await expectRefused(await victim.send(url), 'belongs to another sign-in');
  });

  it('works once, also when many bring it at the same time', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    const jar = new Map(browser.cookies);
    const replay = () => {
      const again = createBrowser();
      for (const [name, value] of jar) again.cookies.set(name, value);
      return again.send(url);
    };
    const pages = await Promise.all(Array.from({ length: 10 }, replay));
    expect(pages.map(({ status }) => status).sort()).toEqual([303, ...Array(9).fill(400)]);
    expect((await b.sessions()).length).toBe(opened + 1);
    opened += 1;
    await expectRefused(await replay(), 'it was already completed');
  });

  it('after an error is not taken again with a code', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    await browser.send(altered(url, { code: undefined, error: 'access_denied' }));
    await expectRefused(await browser.send(url), 'it was already completed');
  });

  it('shows what the provider said as text', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    const page = await browser.send(
      altered(url, {
        code: undefined,
        error: 'server_error',
        error_description: '<script>alert(1)</script><img src=x onerror=alert(1)>" \'',
      }),
    );
    expect(page.text).not.toMatch(/<script|<img/);
    expect(page.text).toContain('&lt;script&gt;');
  });

  it('that comes too late is refused, and forgotten', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    b.t.clock.advance(10 * 60_000);
    await expectRefused(await browser.send(url), 'more than 10 minutes');
    await b.signInUntilAnswer('dana');
    b.t.clock.advance(10 * 60_000);
    await b.signInUntilAnswer('dana');
    expect(countsOf(b.t.file, ['signIns'])).toEqual({ signIns: 1 });
    b.t.clock.set(Date.now());
  });
});

describe('the session of a sign-in', () => {
  it('has a new secret whatever cookie the browser had: none can be planted', async () => {
    const browser = createBrowser();
    const planted = 'P'.repeat(43);
    browser.cookies.set(SESSION, planted);
    await b.signIn('dana', { browser });
    expect(browser.cookies.get(SESSION)).not.toBe(planted);
    const attacker = createBrowser();
    attacker.cookies.set(SESSION, planted);
    expect((await b.call(attacker, 'GET', '/v1/whoami')).status).toBe(401);
  });

  it('takes the place of the one before, at once', async () => {
    const { browser } = await b.signIn('dana');
    const former = createBrowser();
    former.cookies.set(SESSION, browser.cookies.get(SESSION) ?? '');
    await b.signIn('dana', { browser });
    expect((await b.call(former, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    expect((await b.sessions()).at(-2)).toMatchObject({ end_reason: 'rotated' });
  });

  it('of another person in the same browser ends all that the former one was good for', async () => {
    const { browser } = await b.signIn('dana');
    const revoked = async () => readRevocations(b.t.file).map(({ value }) => value);
    const idOf = async () => (await b.call(browser, 'GET', '/v1/whoami')).body.session;
    const first = await idOf();
    await b.signIn('dana', { browser });
    const second = await idOf();
    expect(await revoked()).not.toContain(`session:${first}`);
    for (const name of browser.cookies.keys()) if (name !== SESSION) browser.cookies.delete(name);
    await b.signIn('alex', { browser });
    expect(await revoked()).toContain(`session:${second}`);
  });

  it('is not touched by a sign-in that fails', async () => {
    const { browser } = await b.signIn('dana');
    const { url } = await b.signInUntilAnswer('dana', { browser });
    expect((await browser.send(altered(url, { iss: 'http://127.0.0.1:1' }))).status).toBe(400);
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
  });
});

describe('several tabs', () => {
  it('sign in at once, in any order, and each ends where it wanted to go', async () => {
    const browser = createBrowser();
    const tabs = [];
    for (const tab of ['one', 'two', 'three']) {
      const query = { return_to: `/v1/whoami?tab=${tab}` };
      tabs.push((await b.signInUntilAnswer('dana', { browser, query })).url);
    }
    expect(signInSecrets(browser).length).toBe(3);
    const ends = [];
    for (const url of tabs.reverse()) ends.push((await browser.send(url)).headers.get('location'));
    expect(ends).toEqual(['three', 'two', 'one'].map((tab) => `/v1/whoami?tab=${tab}`));
    expect(signInSecrets(browser)).toEqual([]);
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
  });

  it('that nobody finishes do not fill the browser: it keeps at most eight', async () => {
    const { browser } = await b.signIn('dana');
    for (let tab = 0; tab < 30; tab += 1) {
      await browser.send(`${b.t.url}/auth/sign-in`);
      expect(signInSecrets(browser).length).toBeLessThanOrEqual(8);
    }
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    const odd = {
      cookie: `__Host-countersign-sign-in-;; =; ${'__Host-countersign-sign-in-a\u00e4=b;'.repeat(9)}`,
    };
    expect((await browser.send(`${b.t.url}/auth/sign-in`, { headers: odd })).status).toBe(303);
  });
});

describe('a sign-in that is refused', () => {
  const QUERY = { issuer: 'demo', return_to: '/v1/flags?environment=production', level: '2', max_age: '60' };
  const again = `href="/auth/sign-in?${new URLSearchParams(QUERY)}"`.replaceAll('&', '&amp;');

  it('can be started again as it was: too late, declined, or not strong enough', async () => {
    const late = await b.signInUntilAnswer('sam', { query: QUERY, mfa: true });
    b.t.clock.advance(10 * 60_000);
    expect((await late.browser.send(late.url)).text).toContain(again);
    b.t.clock.set(Date.now());
    const { browser, url } = await b.signInUntilAnswer('sam', { query: QUERY, mfa: true });
    const page = await browser.send(altered(url, { code: undefined, error: 'access_denied' }));
    expect(page.text).toContain(again);
    expect(page.text).not.toContain('/auth/account"');
  });

  it('leaves the way to the account of who is signed in', async () => {
    const { browser } = await b.signIn('sam');
    const { url } = await b.signInUntilAnswer('sam', { browser, query: QUERY, mfa: true });
    const page = await browser.send(altered(url, { code: undefined, error: 'access_denied' }));
    expect(page.text).toContain(again);
    expect(page.text).toContain('href="/auth/account"');
  });

  it('for how it was asked for says which part is wrong', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/sign-in?level=x`);
    expect(page.text).toContain('<code>#/level</code>');
  });
});

describe('return_to', () => {
  it.each([
    'https://evil.example/',
    'https:evil.example',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\/evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'javascript:alert(1)',
    'evil.example',
    '/ok\\evil',
    '@evil.example',
    ' /account',
    `/${'a'.repeat(2000)}`,
  ])('%j is refused before anything begins', async (return_to) => {
    const page = await createBrowser().send(`${b.t.url}/auth/sign-in?${new URLSearchParams({ return_to })}`);
    expect(page.status).toBe(400);
    expect(page.headers.get('location')).toBeNull();
    expect(page.headers.getSetCookie()).toEqual([]);
  });

  it('cannot be given twice', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/sign-in?return_to=/a&return_to=//evil.example`);
    expect(page.status).toBe(400);
  });
});

describe('a request for a stronger or fresher sign-in', () => {
  it('is asked of the provider as an essential claim, and what it gives is on the session', async () => {
    const { browser } = await b.signIn('sam');
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.auth.level).toBe(1);
    // The provider knows the browser, and still asks again.
    const { page } = await b.signIn('sam', { browser, mfa: true, query: { level: '2', max_age: '300' } });
    expect(page.status).toBe(200);
    const { auth } = (await b.call(browser, 'GET', '/v1/whoami')).body.principal;
    expect(auth).toMatchObject({ level: 2, acr: 'urn:countersign:mfa' });
    expect(b.t.clock() - auth.auth_time_ms).toBeLessThan(300_000);
  });

  it('is for who asked: another account does not take over what was begun', async () => {
    const { browser } = await b.signIn('sam');
    const before = browser.cookies.get(SESSION);
    for (const name of browser.cookies.keys()) if (name !== SESSION) browser.cookies.delete(name);
    for (const query of [{ level: '2' }, { max_age: '300' }] as Record<string, string>[]) {
      const { page } = await b.signIn('alex', { browser, mfa: true, query });
      expect(page.status).toBe(400);
      expect(page.text).toContain('You signed in as person:demo:alex, but this browser is signed in as');
      expect(browser.cookies.get(SESSION)).toBe(before);
    }
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.id).toBe('person:demo:sam');
    // After a sign-out there is nobody whose work it could be.
    await b.press(browser, '/auth/sign-out');
    const { page } = await b.signIn('alex', { browser, mfa: true, query: { level: '2' } });
    expect(page.status).toBe(200);
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.id).toBe('person:demo:alex');
  });

  it.each(['level=x', 'level=-1', 'level=10', 'max_age=-1', 'max_age=1e9', 'level=1&level=2', 'acr=urn:x'])(
    '%s is no wish',
    async (query) => {
      expect((await createBrowser().send(`${b.t.url}/auth/sign-in?${query}`)).status).toBe(400);
    },
  );
});

describe('who signs in', () => {
  it('at a provider that nobody configured finds out which there are', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/sign-in?issuer=nowhere`);
    expect(page.status).toBe(404);
    expect(page.text).toContain('Choose one of demo');
  });
});
