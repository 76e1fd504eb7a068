import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBrowser } from '../../fixtures/identity/browser.ts';
import { html } from '../../src/sessions/html.ts';
import { SESSION, type SignInBench, startSignInBench } from './support.ts';

let b: SignInBench;
beforeAll(async () => {
  b = await startSignInBench();
});
afterAll(() => b.close());

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> \' &';

describe('a page', () => {
  it.each(['/auth/signed-out', '/auth/callback', '/auth/account', '/auth/sign-in?issuer=x'])(
    '%s runs nothing, loads nothing but its style, is framed by nobody and kept by nobody',
    async (path) => {
      const browser = createBrowser();
      browser.cookies.set(SESSION, 'A'.repeat(43));
      const page = await browser.send(`${b.t.url}${path}`);
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(page.headers.get('content-security-policy')).toBe(
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      );
      expect(page.headers.get('cache-control')).toBe('no-store');
      expect(page.headers.get('x-content-type-options')).toBe('nosniff');
      expect(page.text).not.toMatch(/<script|style=|\son\w+=/);
    },
  );

  it('lets the sign-out lead to the provider, and to nobody else', async () => {
    const { page } = await b.signIn('dana');
    expect(page.headers.get('content-security-policy')).toContain(`form-action 'self' ${b.provider.issuer};`);
  });

  it('shows what browsers and people send as text', async () => {
    const { browser, url } = await b.signInUntilAnswer('dana');
    await browser.send(url, { headers: { 'user-agent': HOSTILE.repeat(10) } });
    const page = await browser.send(`${b.t.url}/auth/account`);
    expect(page.text).not.toMatch(/<script|<img/);
    expect(page.text).toContain('&quot;&gt;&lt;script&gt;');
    expect((await b.sessions()).at(-1)?.user_agent.length).toBe(200);
    const refusal = await browser.send(`${b.t.url}/auth/sign-in?${new URLSearchParams({ issuer: HOSTILE })}`);
    expect(refusal.text).not.toMatch(/<script|<img/);
  });

  it('has a style that a browser takes as such', async () => {
    const style = await createBrowser().send(`${b.t.url}/auth/style.css`);
    expect(style.headers.get('content-type')).toContain('text/css');
    expect(style.text).toContain('color-scheme: light dark');
  });

  it('says that a path is none, as a page', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/nowhere`);
    expect(page.status).toBe(404);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.text).toContain('No route for GET /auth/nowhere.');
  });

  it('is the first thing that a browser gets, with the way to sign in and no name of anybody', async () => {
    const page = await createBrowser().send(`${b.t.url}/`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'self'");
    expect(page.text).toContain('href="/auth/sign-in"');
    expect(page.text).toContain(`countersign login --broker ${b.t.url}`);
    expect(page.text).not.toMatch(/<script|style=|person:|127\.0\.0\.1:(?!\d+<)/);
    for (const [, path = ''] of page.text.matchAll(/href="(\/[^"]+)"/g)) {
      if (path !== '/auth/sign-in')
        expect((await createBrowser().send(`${b.t.url}${path}`)).status, path).toBe(200);
    }
  });

  it('leads whoever is signed in from there to who they are and their sessions', async () => {
    const { browser } = await b.signIn('dana');
    const page = await browser.visit(`${b.t.url}/`);
    expect(page.url.pathname).toBe('/auth/account');
    expect(page.text).toContain('person:demo:dana');
    expect(page.text).toContain('Your sessions');
    expect(page.text).toContain('href="/openapi.json"');
  });

  it('sends who is not signed in to sign in', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/account`);
    expect([page.status, page.headers.get('location')]).toEqual([303, '/auth/sign-in']);
  });
});

describe("a page of the demo's provider", () => {
  it('says that a second factor is asked for, and that none was chosen', async () => {
    const browser = createBrowser();
    const start = await browser.visit(`${b.t.url}/auth/sign-in?level=2`);
    expect(start.text).toContain('A second factor is asked for');
    expect(start.text).not.toContain('you chose no second factor');
    const again = await browser.visit(start.url, { person: 'dana' });
    expect(again.url.pathname).toMatch(/^\/interaction\//);
    expect(again.text).toContain('You were not signed in, because you chose no second factor.');
    const done = await browser.visit(again.url, { person: 'dana', mfa: 'yes' });
    expect(done.text).toContain('You are signed in');
  });

  it('asks for none where none is needed, loads nothing, and is a page also when it cannot go on', async () => {
    const browser = createBrowser();
    const start = await browser.visit(`${b.t.url}/auth/sign-in`);
    expect(start.text).toContain('Who are you today?');
    expect(start.text).not.toContain('second factor is asked');
    const lost = await createBrowser().send(start.url);
    expect([lost.status, lost.text]).toEqual([
      400,
      expect.stringContaining('<h1>The sign-in cannot go on</h1>'),
    ]);
    const device = await createBrowser().visit(`${b.provider.issuer}/device`);
    const fault = await createBrowser().send(`${b.provider.issuer}/auth?client_id=%3Cb%3E`);
    for (const page of [start, lost, device, fault])
      expect(page.text).not.toMatch(/https?:\/\/(?!127)|<b>|<script/);
    expect(fault.text).toContain('The sign-in cannot go on');
  });
});

describe('the template', () => {
  it('takes every value as text, in elements and attributes', () => {
    expect(html`<p title="${HOSTILE}">${HOSTILE}${null}${7}</p>`.text).toBe(
      '<p title="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &#39; &amp;">' +
        '&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &#39; &amp;7</p>',
    );
  });

  it('takes what it made as it is, alone and in lists', () => {
    const inner = html`<b>${'<'}</b>`;
    expect(html`<p>${inner}${[inner, inner]}</p>`.text).toBe('<p><b>&lt;</b><b>&lt;</b>\n<b>&lt;</b></p>');
  });
});
