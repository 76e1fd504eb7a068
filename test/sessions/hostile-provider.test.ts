import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Browser, createBrowser } from '../../fixtures/identity/browser.ts';
import { WEB_CLIENT_ID } from '../../fixtures/identity/provider.ts';
import { type HostileProvider, startHostileProvider, type TokenAnswer } from './hostile-provider.ts';
import { SESSION, type SignInBench, startSignInBench } from './support.ts';

/*
 * Providers that do not do what was asked, and two of them that are played against each other. `hostile` is a public
 * client of the test's own provider; `demo` is the real one.
 */

let b: SignInBench;
let hostile: HostileProvider;
let clock = () => Date.now();

beforeAll(async () => {
  hostile = await startHostileProvider(() => clock());
  b = await startSignInBench({ others: [hostile.config] });
  clock = b.t.clock;
});
afterAll(async () => {
  await b.close();
  await hostile.close();
});

/** Begins a sign-in, and takes what went to the provider. */
async function begin(query: Record<string, string> = {}) {
  const browser = createBrowser();
  const page = await browser.send(
    `${b.t.url}/auth/sign-in?${new URLSearchParams({ issuer: 'hostile', ...query })}`,
  );
  expect(page.status).toBe(303);
  const asked = new URL(page.headers.get('location') ?? '');
  return { browser, asked: Object.fromEntries(asked.searchParams) };
}

function answerUrl(parameters: Record<string, string | undefined>): URL {
  const url = new URL(`${b.t.url}/auth/callback`);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** A whole sign-in at the hostile provider, with its answer. */
async function signInWith(
  answer: TokenAnswer & { nonce?: string | null },
  query: Record<string, string> = {},
) {
  const { browser, asked } = await begin(query);
  hostile.answer({ nonce: asked.nonce ?? null, ...answer });
  const page = await browser.send(answerUrl({ code: 'a-code', state: asked.state, iss: hostile.issuer }));
  return { browser, page, asked };
}

/** SHA-256 in base64url, whole or its left half. */
const wholeHashOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const hashOf = (text: string) =>
  createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url');

function hasSession(browser: Browser): boolean {
  return browser.cookies.has(SESSION);
}

let opened = 0;
beforeEach(async () => {
  opened = (await b.sessions()).length;
});

describe('a provider that does as it is asked', () => {
  it('signs people in, by a public client with PKCE', async () => {
    const { browser, page, asked } = await signInWith({});
    expect(page.status).toBe(303);
    const { body } = await b.call(browser, 'GET', '/v1/whoami');
    expect(body.principal).toMatchObject({ id: 'person:hostile:dana', person: 'hostile:dana' });
    const form = Object.fromEntries(hostile.codes.at(-1) ?? []);
    expect(form).toMatchObject({ client_id: WEB_CLIENT_ID, redirect_uri: `${b.t.url}/auth/callback` });
    const digest = await crypto.subtle.digest('SHA-256', Buffer.from(form.code_verifier ?? ''));
    expect(Buffer.from(digest).toString('base64url')).toBe(asked.code_challenge);
    expect(hostile.authorizations.at(-1)).toBeUndefined();
  });

  it('signs people in with the hashes of access token and code', async () => {
    // OpenID Connect Core 3.1.3.8 and 3.3.2.11: the left half of the hash.
    const { browser, page } = await signInWith({
      claims: { at_hash: hashOf('opaque'), c_hash: hashOf('a-code') },
    });
    expect(page.status).toBe(303);
    expect(hasSession(browser)).toBe(true);
  });

  it('is asked for a level by acr_values where it does not take the claims parameter', async () => {
    const { asked } = await begin({ level: '2', max_age: '60' });
    expect(asked).toMatchObject({ acr_values: 'urn:countersign:mfa', max_age: '60' });
    expect(asked.claims).toBeUndefined();
  });

  it('is asked for a new sign-in where no acr stands for the level', async () => {
    const { asked } = await begin({ level: '3' });
    expect(asked).toMatchObject({ prompt: 'login' });
    expect(asked.acr_values).toBeUndefined();
  });
});

describe('200 groups of 36 characters, the most that Entra sends', () => {
  const groups = Array.from({ length: 200 }, (_, place) => `group-${place}`.padEnd(36, '-'));

  it('fit into a session', async () => {
    const { browser } = await signInWith({ claims: { groups } });
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.groups).toEqual(groups);
  });

  it('that are left out open no session, and the page says what to change at the provider', async () => {
    const { page } = await signInWith({ claims: { _claim_names: { groups: 'src1' } } });
    expect(page.status).toBe(403);
    expect(page.text).toContain('only the groups assigned to the application');
  });
});

describe('an ID token', () => {
  const now = () => Math.floor(clock() / 1000);

  it.each<[string, () => TokenAnswer & { nonce?: string | null }]>([
    ['of another sign-in', () => ({ nonce: 'A'.repeat(43) })],
    ['without a nonce', () => ({ nonce: null })],
    ['of another issuer', () => ({ claims: { iss: 'https://other.example' } })],
    ['for another client', () => ({ claims: { aud: 'somebody-else' } })],
    ['for our other client', () => ({ claims: { aud: 'countersign-cli' } })],
    ['for another client too', () => ({ claims: { aud: [WEB_CLIENT_ID, 'x'], azp: WEB_CLIENT_ID } })],
    ['authorized for another party', () => ({ claims: { azp: 'somebody-else' } })],
    ['that has expired', () => ({ claims: { iat: now() - 600, exp: now() - 300 } })],
    ['from the future', () => ({ claims: { iat: now() + 600, exp: now() + 900 } })],
    ['signed with a key that is not published', () => ({ foreignKey: true })],
    ['without a signature', () => ({ header: { alg: 'none' } })],
    ['signed with a shared secret', () => ({ header: { alg: 'HS256' } })],
    ['that brings its own key', () => ({ header: { jwk: hostile.key.publicJwk } })],
    ['that is a logout token', () => ({ header: { typ: 'logout+jwt' } })],
    ['with an event', () => ({ claims: { events: {} } })],
    ['that is an access token', () => ({ header: { typ: 'at+jwt' }, claims: { client_id: WEB_CLIENT_ID } })],
    ['without a subject', () => ({ claims: { sub: undefined } })],
    ['with groups of another shape', () => ({ claims: { groups: { admins: true } } })],
    ['without the groups that it has (overage)', () => ({ claims: { hasgroups: true } })],
    ['of another access token', () => ({ claims: { at_hash: hashOf('another') } })],
    ['with an at_hash that is none', () => ({ claims: { at_hash: 7 } })],
    ['with the whole hash of the access token', () => ({ claims: { at_hash: wholeHashOf('opaque') } })],
    ['of another code', () => ({ claims: { c_hash: hashOf('another') } })],
    ['that is missing', () => ({ body: { access_token: 'opaque', token_type: 'Bearer' } })],
    [
      'that is no token',
      () => ({ body: { access_token: 'opaque', token_type: 'Bearer', id_token: 'x.y.z' } }),
    ],
  ])('%s opens no session', async (_name, answer) => {
    const { browser, page } = await signInWith(answer());
    expect([400, 401, 403]).toContain(page.status);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(hasSession(browser)).toBe(false);
    expect((await b.sessions()).length).toBe(opened);
  });
});

describe('a token endpoint', () => {
  it.each<[string, TokenAnswer, number]>([
    [
      'that refuses the code',
      { status: 400, body: { error: 'invalid_grant', error_description: '<b>no</b>' } },
      400,
    ],
    ['that is down', { status: 503, body: { error: 'temporarily_unavailable' } }, 503],
    ['that sends us elsewhere', { status: 302, body: {}, headers: { location: 'http://127.0.0.1:1/' } }, 400],
    ['that answers no JSON', { body: '<html>', headers: { 'content-type': 'text/html' } }, 400],
    ['that answers without end', { body: `"${'a'.repeat(300_000)}"` }, 400],
  ])('%s opens no session, and the page says so', async (_name, answer, status) => {
    const { browser, page } = await signInWith(answer);
    expect(page.status).toBe(status);
    expect(page.text).not.toContain('<b>');
    expect(hasSession(browser)).toBe(false);
  });
});

describe('a provider that gives less than was asked', () => {
  it('by level opens no session, and leaves the one that is there as it is', async () => {
    const { browser } = await b.signIn('sam', { query: { issuer: 'demo' } });
    const before = browser.cookies.get(SESSION);
    const page = await browser.send(`${b.t.url}/auth/sign-in?issuer=hostile&level=2`);
    const asked = Object.fromEntries(new URL(page.headers.get('location') ?? '').searchParams);
    hostile.answer({ nonce: asked.nonce ?? null });
    const answer = await browser.send(answerUrl({ code: 'c', state: asked.state, iss: hostile.issuer }));
    expect(answer.status).toBe(401);
    expect(answer.text).toContain('signed you in at level 1, but level 2 is required');
    expect(browser.cookies.get(SESSION)).toBe(before);
    expect((await b.call(browser, 'GET', '/v1/whoami')).body.principal.auth.level).toBe(1);
  });

  it.each([
    ['with a sign-in that is too old', -400],
    ['with one that is yet to come', 3600],
    ['without saying when it was', undefined],
  ])('by age, %s, opens no session', async (_name, offset) => {
    const authTime = offset === undefined ? undefined : Math.floor(clock() / 1000) + offset;
    const { browser, page } = await signInWith({ claims: { auth_time: authTime } }, { max_age: '300' });
    expect(page.status).toBe(401);
    expect(page.text).toContain('within the last 300 seconds');
    expect(hasSession(browser)).toBe(false);
  });

  it('by age within the leeway is taken', async () => {
    const auth_time = Math.floor(clock() / 1000) - 320;
    const { browser } = await signInWith({ claims: { auth_time } }, { max_age: '300' });
    expect(hasSession(browser)).toBe(true);
  });

  it('is detected at a real provider, too', async () => {
    const own = await startSignInBench({ provider: { ignoresAcr: true } });
    const { browser, page } = await own.signIn('sam', { query: { level: '2' } });
    expect(page.status).toBe(401);
    expect(page.text).toContain('level 2 is required');
    expect(hasSession(browser)).toBe(false);
    await own.close();
  });
});

describe('two providers played against each other', () => {
  it('are distinguished: an answer of one is refused for a sign-in at the other', async () => {
    const honest = await b.signInUntilAnswer('dana', { query: { issuer: 'demo' } });
    const code = honest.url.searchParams.get('code') ?? '';
    const sent = hostile.codes.length;
    const { browser, asked } = await begin();
    // The victim believes to sign in at the hostile provider, which sends them to the honest one behind their back.
    const page = await browser.send(answerUrl({ code, state: asked.state, iss: b.provider.issuer }));
    expect(page.status).toBe(400);
    expect(hasSession(browser)).toBe(false);
    // The honest provider's code has not been given to the other.
    expect(hostile.codes.length).toBe(sent);
    const swapped = await honest.browser.send(
      answerUrl({ code: 'a-code', state: honest.url.searchParams.get('state') ?? '', iss: hostile.issuer }),
    );
    expect(swapped.status).toBe(400);
    expect((await b.sessions()).length).toBe(opened);
  });

  it('vouch for two persons, even where the names are the same', async () => {
    const { browser } = await b.signIn('dana', { query: { issuer: 'demo' } });
    const other = await signInWith({});
    const whois = async (who: Browser) => (await b.call(who, 'GET', '/v1/whoami')).body.principal.person;
    expect(await whois(browser)).toBe('emp-1001');
    expect(await whois(other.browser)).toBe('hostile:dana');
  });

  it('vouch for one person by a claim that is configured, who may step up at either', async () => {
    const corp = { ...hostile.config, key: 'corp', claims: { person: 'employee_id' } };
    const own = await startSignInBench({ others: [corp] });
    const { browser } = await own.signIn('dana', { query: { issuer: 'demo' } });
    const stepUp = async (employee_id: string) => {
      const page = await browser.send(`${own.t.url}/auth/sign-in?issuer=corp&max_age=300`);
      const asked = new URL(page.headers.get('location') ?? '').searchParams;
      hostile.answer({ nonce: asked.get('nonce'), claims: { sub: 'd-7', employee_id } });
      const answer = { code: 'c', state: asked.get('state') ?? '', iss: hostile.issuer };
      return browser.send(`${own.t.url}/auth/callback?${new URLSearchParams(answer)}`);
    };
    const whois = async () => (await own.call(browser, 'GET', '/v1/whoami')).body.principal;
    expect((await stepUp('emp-1002')).status).toBe(400);
    expect(await whois()).toMatchObject({ id: 'person:demo:dana', person: 'emp-1001' });
    expect((await stepUp('emp-1001')).status).toBe(303);
    expect(await whois()).toMatchObject({ id: 'person:corp:d-7', person: 'emp-1001' });
    await own.close();
  });

  it('are offered on a page when nobody names one', async () => {
    const page = await createBrowser().send(
      `${b.t.url}/auth/sign-in?return_to=%2Fv1%2Fwhoami%3Fa%3D%22b&level=2`,
    );
    expect(page.status).toBe(200);
    expect(page.headers.getSetCookie()).toEqual([]);
    for (const key of ['demo', 'hostile']) {
      expect(page.text).toContain(
        `href="/auth/sign-in?return_to=%2Fv1%2Fwhoami%3Fa%3D%22b&amp;level=2&amp;issuer=${key}"`,
      );
    }
  });
});

describe('a provider whose answers do not say whose they are', () => {
  let quiet: HostileProvider;
  let liars: Record<string, HostileProvider>;
  let bench: SignInBench;

  beforeAll(async () => {
    const start = () => startHostileProvider(() => clock());
    const [liar, promising] = await Promise.all([start(), start()]);
    quiet = await start();
    for (const { metadata } of [quiet, liar]) {
      metadata.authorization_response_iss_parameter_supported = undefined;
    }
    liars = { liar, promising };
    const others = Object.entries({ quiet, ...liars }).map(([key, { config }]) => ({ ...config, key }));
    bench = await startSignInBench({ others });
  });
  afterAll(async () => {
    await bench.close();
    await Promise.all([quiet, ...Object.values(liars)].map((each) => each.close()));
  });

  async function beginAt(issuer: string) {
    const browser = createBrowser();
    const page = await browser.send(`${bench.t.url}/auth/sign-in?issuer=${issuer}`);
    const asked = new URL(page.headers.get('location') ?? '').searchParams;
    return {
      browser,
      state: asked.get('state') ?? '',
      nonce: asked.get('nonce'),
      to: asked.get('redirect_uri'),
    };
  }

  const answerAt = (to: string | null, parameters: Record<string, string>) =>
    `${to}?${new URLSearchParams(parameters)}`;

  it.each(['liar', 'promising'])('gives codes that go to nobody else, such as %s', async (key) => {
    const codes = liars[key]?.codes;
    // 1. The attacker begins at the honest provider; 2. the victim begins at the other one, which sends them on to the
    // honest one with what the attacker was to ask; 3. its answer comes back to the victim's browser.
    const attacker = await beginAt('quiet');
    const victim = await beginAt(key);
    const page = await victim.browser.send(
      answerAt(attacker.to, { code: 'of-the-victim', state: victim.state }),
    );
    expect(page.status).toBe(400);
    expect(page.text).toContain('was sent to the redirect URI of another provider');
    expect(hasSession(victim.browser)).toBe(false);
    expect(codes).toEqual([]);
  });

  it('gets no code that came to another address', async () => {
    for (const path of ['', '/liar', '/QUIET', '/quiet%2f', '/..%2fcallback']) {
      const { browser, state } = await beginAt('quiet');
      const to = `${bench.t.url}/auth/callback${path}`;
      expect((await browser.send(answerAt(to, { code: 'c', state }))).status).toBe(400);
    }
    expect(quiet.codes).toEqual([]);
  });

  it('signs people in at the address that is its own', async () => {
    const { browser, state, nonce, to } = await beginAt('quiet');
    expect(to).toBe(`${bench.t.url}/auth/callback/quiet`);
    quiet.answer({ nonce });
    expect((await browser.send(answerAt(to, { code: 'c', state }))).status).toBe(303);
    expect(quiet.codes.map((form) => form.get('redirect_uri'))).toEqual([to]);
    expect(hasSession(browser)).toBe(true);
  });

  it('needs no address of its own where it is the only one', async () => {
    const alone = await startSignInBench();
    const page = await createBrowser().send(`${alone.t.url}/auth/sign-in`);
    const asked = new URL(page.headers.get('location') ?? '').searchParams;
    expect(asked.get('redirect_uri')).toBe(`${alone.t.url}/auth/callback`);
    await alone.close();
  });
});

describe('a provider’s metadata', () => {
  it.each<[string, Record<string, unknown>]>([
    ['of another issuer', { issuer: 'https://other.example' }],
    ['with an endpoint elsewhere without https', { token_endpoint: 'http://198.51.100.1/token' }],
  ])('%s opens no session', async (_name, changes) => {
    const own = await startHostileProvider(() => clock());
    Object.assign(own.metadata, changes);
    const bench = await startSignInBench({ others: [own.config] });
    const browser = createBrowser();
    const start = await browser.send(`${bench.t.url}/auth/sign-in?issuer=hostile`);
    if (start.status === 303) {
      const asked = new URL(start.headers.get('location') ?? '').searchParams;
      const url = new URL(`${bench.t.url}/auth/callback`);
      url.search = String(
        new URLSearchParams({ code: 'c', state: asked.get('state') ?? '', iss: own.issuer }),
      );
      expect((await browser.send(url)).status).toBeGreaterThanOrEqual(400);
    } else expect(start.status).toBe(503);
    expect(await bench.sessions()).toEqual([]);
    await bench.close();
    await own.close();
  });
});
