import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, createBrowser } from '../../fixtures/identity/browser.ts';
import { WEB_CLIENT_ID } from '../../fixtures/identity/provider.ts';
import { createEs256Key } from '../identity/support.ts';
import { readRevocations } from '../support/sqlite/rows.ts';
import { type HostileProvider, startHostileProvider } from './hostile-provider.ts';
import { SESSION, type SignInBench, startSignInBench } from './support.ts';

let b: SignInBench;
let other: HostileProvider;
let clock = () => Date.now();

beforeAll(async () => {
  other = await startHostileProvider(() => clock());
  b = await startSignInBench({ others: [other.config] });
  clock = b.t.clock;
});
afterAll(async () => {
  await b.close();
  await other.close();
});

const AT_DEMO = { query: { issuer: 'demo' } };

async function status(browser: Browser): Promise<number> {
  return (await b.call(browser, 'GET', '/v1/whoami')).status;
}

/** Signs somebody in at the test's own provider. */
async function signInAtOther(claims: Record<string, unknown>): Promise<Browser> {
  // So that what comes later sorts later.
  b.t.clock.advance(1);
  const browser = createBrowser();
  const start = await browser.send(`${b.t.url}/auth/sign-in?issuer=hostile`);
  const asked = new URL(start.headers.get('location') ?? '').searchParams;
  other.answer({ nonce: asked.get('nonce'), claims });
  const answer = new URLSearchParams({ code: 'c', state: asked.get('state') ?? '', iss: other.issuer });
  expect((await browser.send(`${b.t.url}/auth/callback?${answer}`)).status).toBe(303);
  return browser;
}

async function sendLogout(body: string | Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(`${b.t.url}/auth/backchannel-logout`, {
    method: 'POST',
    headers: {
      ...(typeof body === 'string' ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...headers,
    },
    body: typeof body === 'string' ? body : String(new URLSearchParams(body)),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const logout = (token: string) => sendLogout({ logout_token: token });

describe('signing out', () => {
  it('ends the session here, then at the provider, which says so to all others and sends the browser back', async () => {
    const { browser } = await b.signIn('dana', AT_DEMO);
    const second = createBrowser();
    for (const [name, value] of browser.cookies) if (name !== SESSION) second.cookies.set(name, value);
    // The same session at the provider, in another browser session here.
    await b.signIn('dana', { browser: second, ...AT_DEMO });
    expect(await status(second)).toBe(200);
    const out = await b.press(browser, '/auth/sign-out');
    expect(out.status).toBe(303);
    expect(out.headers.getSetCookie().join()).toMatch(
      /__Host-countersign-session=; Path=\/; Expires=Thu, 01 Jan 1970/,
    );
    const end = new URL(out.headers.get('location') ?? '');
    expect(end.origin).toBe(b.provider.issuer);
    expect(Object.fromEntries(end.searchParams)).toEqual({
      client_id: WEB_CLIENT_ID,
      post_logout_redirect_uri: `${b.t.url}/auth/signed-out`,
    });
    const asks = await browser.send(end);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(asks.text)?.[1] ?? '';
    const page = await browser.visit(`${b.provider.issuer}/session/end/confirm`, { xsrf, logout: 'yes' });
    expect(page.url.href).toBe(`${b.t.url}/auth/signed-out`);
    expect(page.text).toContain('You are signed out');
    await expect.poll(() => b.provider.logouts()).toEqual({ delivered: 1, refused: 0 });
    expect(await status(second)).toBe(401);
    const ends = (await b.sessions()).slice(-2).map(({ end_reason }) => end_reason);
    expect(ends).toEqual(['signed_out', 'logout']);
    // The provider does not know the browser any more.
    expect((await b.signIn('dana', { browser: second, ...AT_DEMO })).page.status).toBe(200);
    expect(await status(second)).toBe(200);
  });

  it('is recorded with the session that ended', async () => {
    const { browser } = await b.signIn('alex', AT_DEMO);
    const id = (await b.sessions()).at(-1)?.id;
    await b.press(browser, '/auth/sign-out');
    expect((await b.records()).at(-1)).toEqual({
      operation: 'session.end',
      outcome: 'allow',
      principal: 'person:demo:alex',
      note: id,
      token: `session:${id}`,
    });
  });

  it('leads to the provider also when the session here is over: it knows the browser longer than we do', async () => {
    for (const end of ['idle', 'ended'] as const) {
      const { browser } = await b.signIn('dana', AT_DEMO);
      const id = (await b.sessions()).at(-1)?.id;
      if (end === 'idle') b.t.clock.advance(31 * 60_000);
      if (end === 'ended') {
        const second = await b.signIn('dana', AT_DEMO);
        await b.call(second.browser, 'DELETE', `/v1/sessions/${id}`);
      }
      const out = await b.press(browser, '/auth/sign-out');
      expect(new URL(out.headers.get('location') ?? '', b.t.url).origin).toBe(b.provider.issuer);
      expect(browser.cookies.has(SESSION)).toBe(false);
      b.t.clock.set(Date.now());
    }
  });

  it('is not said to have been done to whoever is still signed in', async () => {
    const { browser } = await b.signIn('dana', AT_DEMO);
    const page = await browser.send(`${b.t.url}/auth/signed-out`);
    expect([page.status, page.headers.get('location')]).toEqual([303, '/auth/account']);
    await b.press(browser, '/auth/sign-out');
    expect((await browser.send(`${b.t.url}/auth/signed-out`)).status).toBe(200);
  });

  it('works without a session, twice, and with one that is over', async () => {
    const browser = createBrowser();
    expect((await b.press(browser, '/auth/sign-out')).headers.get('location')).toBe('/auth/signed-out');
    browser.cookies.set(SESSION, 'A'.repeat(43));
    const out = await b.press(browser, '/auth/sign-out');
    expect(out.headers.get('location')).toBe('/auth/signed-out');
    expect(browser.cookies.has(SESSION)).toBe(false);
  });
});

describe('a provider that ends a session', () => {
  it('ends all that was opened from it, and none of another, and lets it open no more', async () => {
    const mine = await signInAtOther({ sub: 'ann', sid: 'sid-a' });
    const again = await signInAtOther({ sub: 'ann', sid: 'sid-a' });
    const elsewhere = await signInAtOther({ sub: 'ann', sid: 'sid-b' });
    const { status: answered, headers, text } = await logout(other.logoutToken({ sid: 'sid-a', sub: 'ann' }));
    expect([answered, text, headers.get('cache-control')]).toEqual([200, '', 'no-store']);
    expect([await status(mine), await status(again), await status(elsewhere)]).toEqual([401, 401, 200]);
    const browser = createBrowser();
    const start = await browser.send(`${b.t.url}/auth/sign-in?issuer=hostile`);
    const asked = new URL(start.headers.get('location') ?? '').searchParams;
    other.answer({ nonce: asked.get('nonce'), claims: { sub: 'ann', sid: 'sid-a' } });
    const answer = new URLSearchParams({ code: 'c', state: asked.get('state') ?? '', iss: other.issuer });
    expect((await browser.send(`${b.t.url}/auth/callback?${answer}`)).status).toBe(401);
  });

  it('ends what may have been opened from it: sessions of that person that do not say from which', async () => {
    const unnamed = await signInAtOther({ sub: 'una' });
    const [row] = (await b.sessions()).slice(-1);
    expect(row?.sid).toBeNull();
    const named = await signInAtOther({ sub: 'una', sid: 'sid-una-2' });
    const bystander = await signInAtOther({ sub: 'uno' });
    expect((await logout(other.logoutToken({ sid: 'sid-una-1' }))).status).toBe(200);
    expect([await status(unnamed), await status(named), await status(bystander)]).toEqual([200, 200, 200]);
    expect((await logout(other.logoutToken({ sid: 'sid-una-1', sub: 'una' }))).status).toBe(200);
    expect([await status(unnamed), await status(named), await status(bystander)]).toEqual([401, 200, 200]);
    const rows = readRevocations(b.t.file);
    // What is on its way for it, or was delegated from it, ends with it.
    expect(rows.map(({ value }) => value)).toContain(`session:${row?.id}`);
  });

  it('ends tokens of that session too, wherever they are', async () => {
    const claims = {
      iss: other.issuer,
      sub: 'tom',
      sid: 'sid-t',
      iat: clock() / 1000,
      exp: clock() / 1000 + 300,
    };
    const token = other.logoutToken({ ...claims, events: undefined, jti: undefined }, { typ: 'JWT' });
    expect((await b.t.call(token, 'GET', '/v1/whoami')).status).toBe(200);
    await logout(other.logoutToken({ sid: 'sid-t' }));
    expect((await b.t.call(token, 'GET', '/v1/whoami')).body.code).toBe('token_invalid');
  });

  it('is recorded as the end of each session, by whom it stood for', async () => {
    await signInAtOther({ sub: 'eve', sid: 'sid-e' });
    await signInAtOther({ sub: 'eve', sid: 'sid-e' });
    const ids = (await b.sessions()).slice(-2).map(({ id }) => id);
    await logout(other.logoutToken({ sid: 'sid-e' }));
    const records = (await b.records()).slice(-2);
    expect(records.map(({ note }) => note).sort()).toEqual(ids.sort());
    for (const record of records) {
      expect(record).toMatchObject({
        operation: 'session.end',
        outcome: 'allow',
        principal: 'person:hostile:eve',
        token: null,
      });
    }
    expect((await b.sessions()).slice(-2).map(({ end_reason }) => end_reason)).toEqual(['logout', 'logout']);
  });

  it('revokes a session that is unknown here as well', async () => {
    const { status: answered } = await logout(other.logoutToken({ sid: 'sid-never', sub: 'nobody' }));
    expect(answered).toBe(200);
    expect((await b.records()).at(-1)).toMatchObject({
      operation: 'session.end',
      principal: 'person:hostile:nobody',
      note: 'The provider ended a session. No session was open here.',
    });
    expect((await logout(other.logoutToken({ sid: 'sid-nobody-s' }))).status).toBe(200);
    const rows = readRevocations(b.t.file);
    expect(rows.map(({ value }) => value)).toEqual(
      expect.arrayContaining([`${other.issuer}#sid-never`, `${other.issuer}#sid-nobody-s`]),
    );
  });
});

describe('a provider that ends all sessions of somebody', () => {
  it('ends them all, and what was issued before; signing in again works', async () => {
    const one = await signInAtOther({ sub: 'joe', sid: 'sid-j1' });
    const two = await signInAtOther({ sub: 'joe' });
    const bystander = await signInAtOther({ sub: 'joey', sid: 'sid-j1' });
    const claims = { iss: other.issuer, sub: 'joe', iat: clock() / 1000 - 1, exp: clock() / 1000 + 300 };
    const token = other.logoutToken(
      { ...claims, sid: undefined, events: undefined, jti: undefined },
      { typ: 'JWT' },
    );
    expect((await b.t.call(token, 'GET', '/v1/whoami')).status).toBe(200);
    const { status: answered } = await logout(other.logoutToken({ sid: undefined, sub: 'joe' }));
    expect(answered).toBe(200);
    expect([await status(one), await status(two), await status(bystander)]).toEqual([401, 401, 200]);
    expect((await b.t.call(token, 'GET', '/v1/whoami')).status).toBe(401);
    b.t.clock.advance(2000);
    expect(await status(await signInAtOther({ sub: 'joe', sid: 'sid-j2' }))).toBe(200);
  });
});

describe('a logout token', () => {
  const now = () => Math.floor(clock() / 1000);
  const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
  let victim: Browser;
  beforeAll(async () => {
    victim = await signInAtOther({ sub: 'vic', sid: 'sid-v' });
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>?]>([
    ['of another issuer', { iss: 'https://other.example' }],
    ['of an issuer that signs in nobody here', { iss: 'http://127.0.0.1:9402' }],
    ['for another client', { aud: 'somebody-else' }],
    ['for our other client', { aud: 'countersign-cli' }],
    ['for another client too', { aud: [WEB_CLIENT_ID, 'somebody-else'] }],
    ['without an audience', { aud: undefined }],
    ['without events', { events: undefined }],
    ['with another event', { events: { 'http://schemas.openid.net/event/other': {} } }],
    ['whose event is no object', { events: { [EVENT]: true } }],
    ['whose event is a list', { events: { [EVENT]: [] } }],
    ['whose events are a list', { events: [EVENT] }],
    ['with a nonce', { nonce: 'n' }],
    ['with an empty nonce', { nonce: '' }],
    ['that names nobody', { sid: undefined, sub: undefined }],
    ['with an empty session', { sid: '' }],
    ['with a session that is no text', { sid: 1 }],
    ['with a subject that is no text', { sub: { a: 1 } }],
    ['with a session that is too long', { sid: 'a'.repeat(401) }],
    ['without a name of its own', { jti: undefined }],
    ['whose name is no text', { jti: 7 }],
    ['without a time', { iat: undefined }],
    ['without an end', { exp: undefined }],
    ['that has expired', { iat: now() - 60, exp: now() - 31 }],
    ['that is too old', { iat: now() - 151, exp: now() + 100 }],
    ['from the future', { iat: now() + 60, exp: now() + 180 }],
    ['that says it is any JWT', {}, { typ: 'JWT' }],
    ['that says nothing of its type', {}, { typ: undefined }],
    ['that says it is an access token', {}, { typ: 'at+jwt' }],
    ['without a signature', {}, { alg: 'none' }],
    ['signed with a shared secret', {}, { alg: 'HS256' }],
    ['signed by another algorithm', {}, { alg: 'ES384' }],
    ['of an unknown key', {}, { kid: 'nobody' }],
    ['that brings its own key', {}, { jwk: createEs256Key('x').publicJwk }],
    ['with a critical header', {}, { crit: ['x'], x: 1 }],
  ])('%s is refused, and nothing ends', async (_name, claims, header = {}) => {
    const before = await b.records();
    const {
      status: answered,
      headers,
      text,
    } = await logout(other.logoutToken({ sid: 'sid-v', ...claims }, header));
    expect([answered, headers.get('cache-control')]).toEqual([400, 'no-store']);
    expect(JSON.parse(text)).toEqual({
      error: 'invalid_request',
      error_description: 'The logout token was not accepted.',
    });
    expect(await status(victim)).toBe(200);
    expect(await b.records()).toEqual(before);
  });

  it('with a signature of somebody else, or of one bit less, is refused', async () => {
    const forged = other.logoutToken({ sid: 'sid-v' }, {}, createEs256Key('hostile-1'));
    expect((await logout(forged)).status).toBe(400);
    const good = other.logoutToken({ sid: 'sid-v' });
    const [header, payload, signature = ''] = good.split('.');
    const bytes = Buffer.from(signature, 'base64url');
    bytes[10] = (bytes[10] ?? 0) ^ 1;
    expect((await logout(`${header}.${payload}.${bytes.toString('base64url')}`)).status).toBe(400);
    expect((await logout(`${good} `)).status).toBe(400);
    expect((await logout(`${good}=`)).status).toBe(400);
    expect(await status(victim)).toBe(200);
  });

  it('cannot be an ID token, nor the other way round', async () => {
    const now = Math.floor(clock() / 1000);
    const idToken = other.logoutToken(
      { sub: 'vic', events: undefined, iat: now, exp: now + 300, nonce: 'n' },
      { typ: 'JWT' },
    );
    expect((await logout(idToken)).status).toBe(400);
    const token = other.logoutToken({ sid: 'sid-other', sub: 'vic' });
    expect((await b.t.call(token, 'GET', '/v1/whoami')).status).toBe(401);
  });

  it('works once', async () => {
    const token = other.logoutToken({ sid: 'sid-once' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => logout(token)));
    expect(answers.map(({ status: each }) => each).sort()).toEqual([200, ...Array(7).fill(400)]);
    b.t.clock.advance(149_000);
    await b.t.broker.scheduler.tick();
    expect((await logout(token)).status).toBe(400);
  });

  it.each([
    ['no form', '{"logout_token":"x"}', { 'content-type': 'application/json' }],
    ['no token', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['two tokens', 'logout_token=a&logout_token=b', { 'content-type': 'application/x-www-form-urlencoded' }],
    [
      'too much',
      `logout_token=${'a'.repeat(20_000)}`,
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
    [
      'too long a token',
      `logout_token=${'a'.repeat(8193)}`,
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
  ])('has to come in a form: %s is refused', async (_name, body, headers) => {
    const { status: answered, headers: sent } = await sendLogout(body, headers);
    expect([answered, sent.get('cache-control')]).toEqual([400, 'no-store']);
  });

  it('is not held to how often an address may try', async () => {
    const own = await startSignInBench({ others: [other.config], config: { attempts_per_minute: 2 } });
    const page = () => createBrowser().send(`${own.t.url}/auth/sign-in?issuer=demo`);
    expect([(await page()).status, (await page()).status, (await page()).status]).toEqual([303, 303, 429]);
    const answers: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const response = await fetch(`${own.t.url}/auth/backchannel-logout`, {
        method: 'POST',
        body: new URLSearchParams({
          logout_token: other.logoutToken({ iat: Date.now() / 1000, sid: `s${turn}` }),
        }),
      });
      answers.push(response.status);
    }
    expect(answers).toEqual([200, 200, 200, 200]);
    await own.close();
  });

  it('without a type of its own is taken where the configuration says so', async () => {
    const old = await startHostileProvider(() => clock(), { allow_untyped_logout_token: true });
    const own = await startSignInBench({ others: [old.config] });
    const send = async (header: Record<string, unknown>) => {
      const token = old.logoutToken(
        { iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 60 },
        header,
      );
      const body = new URLSearchParams({ logout_token: token });
      return (await fetch(`${own.t.url}/auth/backchannel-logout`, { method: 'POST', body })).status;
    };
    expect([
      await send({ typ: 'JWT' }),
      await send({ typ: undefined }),
      await send({ typ: 'at+jwt' }),
    ]).toEqual([200, 200, 400]);
    await own.close();
    await old.close();
  });

  it('is not lost when the provider’s keys cannot be read: the provider is asked to retry', async () => {
    const gone = await startHostileProvider(() => clock());
    const own = await startSignInBench({ others: [gone.config] });
    const token = gone.logoutToken({ iat: Math.floor(Date.now() / 1000) });
    await gone.close();
    const body = new URLSearchParams({ logout_token: token });
    const response = await fetch(`${own.t.url}/auth/backchannel-logout`, { method: 'POST', body });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: 'temporarily_unavailable' });
    await own.close();
  });
});
