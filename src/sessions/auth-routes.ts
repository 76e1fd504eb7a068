import type { ErrorRequestHandler, Request } from 'express';
import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { type Edge, type Reply, type RequestFacts, routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import type { BrokerError } from '../errors.ts';
import { logFailure, toBrokerError, toDocument } from '../http/problem.ts';
import { anyQuery, FORM, GOVERNED_WRITE, noContent, PUBLIC } from '../http/route.ts';
import type { Logger } from '../logger.ts';
import {
  COOKIE_ATTRIBUTES,
  hasCookie,
  readSecret,
  SESSION_COOKIE,
  signInCookie,
  surplusSignIns,
  withoutCookie,
} from './cookies.ts';
import { assertSameOrigin } from './cross-site.ts';
import { endSession } from './end-session.ts';
import { endSessionUrl } from './end-session-url.ts';
import { pageHeaders, pageReply, redirectTo } from './page-reply.ts';
import {
  accountPage,
  BACK_TO_ACCOUNT,
  choicePage,
  PAGE_TITLES,
  refusalPage,
  SIGN_IN_AGAIN,
  STYLE,
  STYLE_PATH,
  signedOutPage,
  type Way,
  welcomePage,
} from './pages.ts';
import { chooseIssuer, type Providers } from './providers.ts';
import { ACCOUNT_PATH, parseReturnTo } from './return-to.ts';
import { type Sessions, sessionIdOf } from './sessions.ts';
import { againOf, CALLBACK_PATH, SIGN_IN_MS, type SignIn } from './sign-in.ts';
import { signOut } from './sign-out.ts';

/** The dependencies of {@link authRoutes}. */
export interface AuthRoutesDeps {
  /** For the pages that also work without a session. */
  authenticate: Edge['authenticate'];
  control: ControlDeps;
  sessions: Sessions;
  providers: Providers;
  signIn: SignIn;
  publicUrl: string;
}

/** A route that shows a page, or redirects to another. */
const PAGE = {
  perAddress: true,
  success: 200,
  answer: z.string(),
  answerType: 'text/html',
  also: { 303: noContent },
} as const;

/** A route that always redirects. */
const REDIRECT = { perAddress: true, success: 303, answer: noContent } as const;

/** Where the identity provider returns to. What counts is the cookie of the sign-in, not who is signed in already. */
const CALLBACK = {
  ...REDIRECT,
  operation: 'session.open',
  method: 'GET',
  caller: null,
  outcomes: {
    ...PUBLIC,
    no_token: 'refused',
    garbage: 'refused',
    denied: 'refused',
    unwritable: 'refused',
  },
  // The sign-in reads the parameters from the address itself.
  query: anyQuery,
  errors: ['sign_in_failed', 'token_invalid', 'issuer_unavailable', 'policy_denied', 'sign_in_required'],
} as const;

const { route } = routesFor<AuthRoutesDeps>({
  tag: 'Signing in with a browser',
  format: 'page',
  since: '1.0',
});

/**
 * The pages for signing in and out. They use no scripts and no bearer tokens. State-changing requests must come from a
 * page of this origin.
 */
export const authRoutes = [
  route({
    name: 'showHome',
    operation: null,
    method: 'GET',
    path: '/',
    summary: 'the first page; with a session, your account',
    caller: null,
    outcomes: PUBLIC,
    query: anyQuery,
    ...PAGE,
    handle: async ({ providers, publicUrl }, { request: { presented } }) =>
      hasCookie(presented.cookie, SESSION_COOKIE)
        ? redirectTo(ACCOUNT_PATH)
        : pageReply(welcomePage({ isWeb: providers.issuers.length > 0, publicUrl })),
  }),
  route({
    name: 'startSignIn',
    operation: null,
    method: 'GET',
    path: '/auth/sign-in',
    summary: 'start a sign-in',
    caller: null,
    // The sign-in is stored until the provider returns.
    outcomes: { ...PUBLIC, unwritable: 'refused' },
    query: z.strictObject({
      issuer: z.string().max(63).optional().meta({
        description: 'The key of an identity provider. Without it, the person chooses if there are several.',
      }),
      return_to: z
        .string()
        .optional()
        .meta({ description: `A path of this broker; default \`${ACCOUNT_PATH}\`.` }),
      level: z.int().min(0).max(9).optional().meta({ description: 'The required sign-in level.' }),
      max_age: z
        .int()
        .min(0)
        .max(86_400)
        .optional()
        .meta({ description: 'The maximum age of the sign-in, in seconds.' }),
    }),
    ...PAGE,
    errors: ['not_found', 'issuer_unavailable'],
    handle: async ({ control, providers, signIn, publicUrl }, { query, request: { presented, target } }) => {
      const return_to = parseReturnTo(query.return_to, publicUrl);
      const issuer = chooseIssuer(providers, query.issuer);
      if (issuer === null) return pageReply(choicePage(providers.issuers, (key) => linkWith(target, key)));
      const { secret, state, url } = await signIn.begin({
        issuer,
        return_to,
        level: query.level ?? null,
        max_age_s: query.max_age ?? null,
        longest_s: (await control.policies.active(control.store.read)).broker.sign_in_age_s,
      });
      return redirectTo(url.href, [
        ...surplusSignIns(presented.cookie).map(withoutCookie),
        {
          name: signInCookie(state),
          value: secret,
          attributes: { ...COOKIE_ATTRIBUTES, maxAge: SIGN_IN_MS },
        },
      ]);
    },
  }),
  route({
    ...CALLBACK,
    name: 'completeSignIn',
    path: CALLBACK_PATH,
    summary: 'where the identity provider returns to',
    handle: async (deps, { request }) => completeSignIn(deps, CALLBACK_PATH, request),
  }),
  route({
    ...CALLBACK,
    name: 'completeSignInAt',
    path: `${CALLBACK_PATH}/{issuer}`,
    summary: 'where one of several providers returns to',
    params: z.object({ issuer: z.string() }),
    handle: async (deps, { params: { issuer }, request }) =>
      completeSignIn(deps, `${CALLBACK_PATH}/${encodeURIComponent(issuer)}`, request),
  }),
  route({
    name: 'showAccount',
    mayHaveSession: true,
    operation: 'session.read',
    method: 'GET',
    path: ACCOUNT_PATH,
    summary: 'the page with your sessions',
    // Without a session, it redirects to the sign-in and shows nothing.
    caller: null,
    outcomes: { ...PUBLIC, garbage: 'refused', denied: 'refused' },
    ...PAGE,
    errors: ['unauthenticated', 'token_invalid', 'policy_denied', 'sign_in_required'],
    handle: async (deps, { request: { presented, ids } }) => {
      if (!hasCookie(presented.cookie, SESSION_COOKIE)) return redirectTo('/auth/sign-in');
      const { principal, credential } = await deps.authenticate(presented);
      await authorizeRead(deps.control, { principal, credential, ...ids }, { operation: 'session.read' });
      const current = sessionIdOf(credential);
      const shown = (await deps.sessions.listOpen(principal)).map((row) => ({
        ...row,
        is_current: row.id === current,
      }));
      const end = await endSessionUrl(deps, credential.issuer);
      return pageReply(accountPage(principal, shown), end === null ? [] : [end.origin]);
    },
  }),
  route({
    name: 'endSessionOnPage',
    operation: 'session.end',
    method: 'POST',
    path: '/auth/sessions/{id}/end',
    summary: 'end one of your sessions from the account page',
    caller: 'session',
    // Surrendering a credential needs no permission.
    outcomes: { ...GOVERNED_WRITE, denied: 'allowed' },
    params: z.object({ id: z.uuid() }),
    // A form without fields.
    bodyType: FORM,
    ...REDIRECT,
    handle: async ({ control }, { call, params: { id } }) => {
      const isCurrent = call.credential !== null && sessionIdOf(call.credential) === id;
      await endSession(control, call, { id, reason: isCurrent ? 'signed_out' : 'ended' });
      return isCurrent
        ? redirectTo('/auth/signed-out', [withoutCookie(SESSION_COOKIE)])
        : redirectTo(ACCOUNT_PATH);
    },
  }),
  route({
    name: 'signOut',
    mayHaveSession: true,
    operation: 'session.end',
    method: 'POST',
    path: '/auth/sign-out',
    summary: 'sign out',
    // It also works when the session has expired or is unknown.
    caller: null,
    outcomes: { ...PUBLIC, foreign_origin: 'refused', unwritable: 'refused' },
    bodyType: FORM,
    ...REDIRECT,
    errors: ['cross_site'],
    handle: async (deps, { request }) => {
      assertSameOrigin(request.presented, deps.publicUrl);
      const issuer = await signOut(deps, request);
      const end = issuer === null ? null : await endSessionUrl(deps, issuer);
      return redirectTo(end === null ? '/auth/signed-out' : end.href, [withoutCookie(SESSION_COOKIE)]);
    },
  }),
  route({
    name: 'showSignedOut',
    operation: null,
    method: 'GET',
    path: '/auth/signed-out',
    summary: 'where the provider returns to after a logout',
    caller: null,
    outcomes: PUBLIC,
    ...PAGE,
    handle: async ({ sessions }, { request: { presented } }) => {
      const open = await sessions.findOpen(readSecret(presented.cookie, SESSION_COOKIE));
      // A link from another site must not tell signed-in people that they are signed out.
      return open === undefined ? pageReply(signedOutPage()) : redirectTo(ACCOUNT_PATH);
    },
  }),
  route({
    name: 'getPageStyle',
    operation: null,
    method: 'GET',
    path: STYLE_PATH,
    summary: 'the style of these pages',
    caller: null,
    outcomes: PUBLIC,
    success: 200,
    answer: z.string(),
    answerType: 'text/css',
    handle: async () => ({ body: STYLE, headers: { 'Cache-Control': 'public, max-age=3600' } }),
  }),
];

/** The address of the same sign-in at that issuer. */
function linkWith(target: string, key: string): string {
  const query = new URLSearchParams(new URL(target, 'http://localhost').search);
  query.set('issuer', key);
  return `/auth/sign-in?${query}`;
}

/** Completes a sign-in whose provider returned to that path. */
async function completeSignIn(
  { signIn, publicUrl }: AuthRoutesDeps,
  path: string,
  { ids, target, presented, user_agent }: RequestFacts,
): Promise<Reply<undefined>> {
  const url = new URL(`${publicUrl}${path}`);
  url.search = new URL(target, publicUrl).search;
  const cookie = signInCookie(url.searchParams.get('state') ?? '');
  const opened = await signIn.complete({
    secret: readSecret(presented.cookie, cookie),
    url,
    formerSecret: readSecret(presented.cookie, SESSION_COOKIE),
    userAgent: user_agent,
    ids,
  });
  return redirectTo(opened.return_to, [
    withoutCookie(cookie),
    { name: SESSION_COOKIE, value: opened.secret, attributes: COOKIE_ATTRIBUTES },
  ]);
}

/** The error handler of pages: renders refusals as pages instead of problem documents. */
export function pageErrors(log: Logger): ErrorRequestHandler[] {
  return [
    (error: unknown, req, res, next) => {
      if (res.headersSent) {
        next(error);
        return;
      }
      const problem = toBrokerError(error);
      const { status, title, detail, instance } = toDocument(problem, req.id);
      logFailure(log, problem, req.id);
      res.status(status).set(problem.fields.headers ?? {});
      if (status === 401) res.set('WWW-Authenticate', 'Bearer');
      const faults = problem.fields.errors ?? [];
      const shown = { title: PAGE_TITLES[problem.code] ?? title, detail, faults, instance };
      res
        .set(pageHeaders([]))
        .type('html')
        .send(refusalPage(shown, waysOn(req, problem, status !== 401)));
    },
  ];
}

/** The links that a refusal page offers. */
function waysOn(req: Request, problem: BrokerError, mayBeSignedIn: boolean): Way[] {
  const again = againOf(problem);
  const account = hasCookie(req.headers.cookie, SESSION_COOKIE) ? [BACK_TO_ACCOUNT] : [];
  // A refused sign-in does not change an existing session.
  if (again !== null) return [{ href: again, label: 'Sign in again' }, ...account];
  return mayBeSignedIn && account.length > 0 ? account : [SIGN_IN_AGAIN];
}
