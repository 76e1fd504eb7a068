import type { FieldFault } from '../errors.ts';
import { inWords } from '../moment.ts';
import type { Principal } from '../principal.ts';
import type { ProblemCode } from '../problems.ts';
import { type Html, html } from './html.ts';
import type { WebIssuer } from './providers.ts';
import { ACCOUNT_PATH } from './return-to.ts';

/** The path of the stylesheet. */
export const STYLE_PATH = '/auth/style.css';

/** The stylesheet of all pages: no fonts, images or scripts; follows the light or dark setting. */
export const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.125rem; margin: 2rem 0 0.5rem; }
header { font-weight: 600; margin-bottom: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.5rem; margin: 0 0 1.5rem; }
dt { opacity: 0.75; }
dd { margin: 0; overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; margin: 0; }
li { display: flex; gap: 1rem; align-items: center; justify-content: space-between; padding: 0.75rem 0; border-top: 1px solid var(--line); }
li p { margin: 0; overflow-wrap: anywhere; }
small { opacity: 0.75; }
ul.links li { padding: 0.25rem 0; border: 0; }
code { overflow-wrap: anywhere; }
a.button, button { font: inherit; color: inherit; background: none; border: 1px solid currentColor; border-radius: 0.375rem; padding: 0.375rem 0.875rem; cursor: pointer; text-decoration: none; display: inline-block; white-space: nowrap; }
a.button:hover, button:hover { background: color-mix(in srgb, currentColor 10%, transparent); }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.5rem; } }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
`;

/** A session as shown to its owner. */
export interface ShownSession {
  id: string;
  user_agent: string;
  opened_ms: number;
  seen_ms: number;
  is_current: boolean;
}

/** The page for choosing an identity provider. */
export function choicePage(issuers: readonly WebIssuer[], linkTo: (key: string) => string): string {
  const items = issuers.map(
    ({ key, issuer }) => html`<li><p>${key}<br><small>${issuer}</small></p>
      <a class="button" href="${linkTo(key)}" aria-label="Sign in with ${key}">Sign in</a></li>`,
  );
  return page('Sign in', html`<h1>Sign in</h1><p>Choose your identity provider.</p><ul>${items}</ul>`);
}

/** The first page, for whoever is not signed in. */
export function welcomePage({ isWeb, publicUrl }: { isWeb: boolean; publicUrl: string }): string {
  return page(
    'Feature flags by request',
    html`<h1>Feature flags by request</h1>
    <p>Countersign decides by policy who may change which flag, and asks a second person where the policy does.</p>
    ${isWeb ? html`<p><a class="button" href="/auth/sign-in">Sign in</a></p>` : null}
    <h2>From a terminal</h2>
    <p><code>countersign login --broker ${publicUrl}</code></p>
    <p><code>countersign list --state open --broker ${publicUrl}</code></p>
    ${LINKS}`,
  );
}

/** Where else to look. */
const LINKS = html`<h2>More</h2>
    <ul class="links">
      <li><a href="/openapi.json">The API, as an OpenAPI document</a></li>
      <li><a href="/readyz?for=writes">Whether the broker is ready</a></li>
      <li><a href="/.well-known/jwks.json">The keys that verify its tokens</a></li>
    </ul>`;

/** The account page: the signed-in principal and their sessions. */
export function accountPage(principal: Principal, sessions: readonly ShownSession[]): string {
  const { auth, groups, id, issuer, person, token } = principal;
  const items = sessions.map(
    ({ id, user_agent, opened_ms, seen_ms, is_current }) => html`<li>
      <p>${user_agent === '' ? 'Unknown browser' : user_agent}${is_current ? html` <strong>(this one)</strong>` : null}<br>
      <small>signed in ${moment(opened_ms)}, last used ${moment(seen_ms)}</small></p>
      <form method="post" action="/auth/sessions/${id}/end"><button aria-label="End the session opened ${shortMoment(opened_ms)}">End</button></form></li>`,
  );
  return page(
    'Your account',
    html`<h1>You are signed in</h1>
    <dl>
      <dt>Account</dt><dd>${id}</dd>
      <dt>Person</dt><dd>${person ?? 'none'}</dd>
      <dt>Identity provider</dt><dd>${issuer}</dd>
      <dt>Groups</dt><dd>${groups.join(', ') || 'none'}</dd>
      <dt>Sign-in level</dt><dd>${auth.level}${auth.acr === null ? null : html` <small>(${auth.acr})</small>`}</dd>
      <dt>Signed in</dt><dd>${moment(auth.auth_time_ms ?? token.issued_ms ?? 0)}</dd>
    </dl>
    <form method="post" action="/auth/sign-out"><button>Sign out</button></form>
    <h2>Your sessions</h2>
    <ul>${items}</ul>
    ${LINKS}`,
  );
}

/** The page after a sign-out. */
export function signedOutPage(): string {
  return page(
    'Signed out',
    html`<h1>You are signed out</h1>
    <p>This browser's session has ended. If others use this browser, make sure that you are signed out at your identity
    provider too. To revoke the tokens of the command line, run <code>countersign logout</code>.</p>
    <p><a class="button" href="/auth/sign-in">Sign in again</a></p>`,
  );
}

/** A link to a next step. */
export interface Way {
  href: string;
  label: string;
}

/** A refusal as shown on a page. */
export interface PageRefusal {
  title: string;
  detail: string;
  /** The faults of the request parameters. */
  faults: readonly FieldFault[];
  /** Identifies the request in the log. */
  instance: string;
}

/** The page for a refusal, with links to next steps. */
export function refusalPage({ title, detail, faults, instance }: PageRefusal, ways: readonly Way[]): string {
  const links = ways.map(({ href, label }) => html`<a class="button" href="${href}">${label}</a>`);
  return page(
    title,
    html`<h1>${title}</h1><p>${detail}</p>
    ${faults.map((fault) => html`<p><code>${fault.pointer}</code>: ${fault.detail}</p>`)}
    <p>${links}</p>
    <p><small>If you ask for help, include this reference: ${instance}.</small></p>`,
  );
}

/** Titles of refusals on pages, where the titles for programs mention tokens and requests. */
export const PAGE_TITLES: Readonly<Partial<Record<ProblemCode, string>>> = {
  unauthenticated: 'You are not signed in',
  token_invalid: 'Your sign-in was not accepted',
  issuer_unavailable: 'The identity provider is unavailable',
  invalid_request: 'The address is incomplete or invalid',
};

/** The link on most refusal pages. */
export const SIGN_IN_AGAIN = { href: '/auth/sign-in', label: 'Sign in' };
/** The link where there may still be a session. */
export const BACK_TO_ACCOUNT = { href: ACCOUNT_PATH, label: 'Your account' };

function moment(ms: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}">${shortMoment(ms)}</time>`;
}

function shortMoment(ms: number): string {
  return inWords('UTC', Math.floor(ms / 60_000) * 60_000);
}

function page(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} · Countersign</title>
  <link rel="stylesheet" href="${STYLE_PATH}">
</head>
<body>
  <header>Countersign</header>
  <main>${body}</main>
</body>
</html>
`.text;
}
