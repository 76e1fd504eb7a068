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

  it('sends who is not signed in to sign in', async () => {
    const page = await createBrowser().send(`${b.t.url}/auth/account`);
    expect([page.status, page.headers.get('location')]).toEqual([303, '/auth/sign-in']);
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
