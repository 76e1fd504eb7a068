import { type ErrorRequestHandler, type Request, type RequestHandler, type Response, Router } from 'express';
import { z } from 'zod';
import { type Edge, parseQuery, presentedBy } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { BrokerError } from '../errors.ts';
import { parse } from '../http/body.ts';
import { logFailure, toBrokerError, toDocument } from '../http/problem.ts';
import type { Caller } from '../identity/credential.ts';
import type { Logger } from '../logger.ts';
import {
  COOKIE_ATTRIBUTES,
  hasCookie,
  readSecret,
  SESSION_COOKIE,
  signInCookie,
  surplusSignIns,
} from './cookies.ts';
import { assertSameOrigin } from './cross-site.ts';
import { endSession } from './end-session.ts';
import { endSessionUrl } from './end-session-url.ts';
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
} from './pages.ts';
import type { Providers, WebIssuer } from './providers.ts';
import { ACCOUNT_PATH, parseReturnTo } from './return-to.ts';
import { type Sessions, sessionIdOf } from './sessions.ts';
import { againOf, CALLBACK_PATH, SIGN_IN_MS, type SignIn } from './sign-in.ts';

/** What {@link authRoutes} needs. */
export interface AuthRoutesDeps {
  edge: Edge;
  sessions: Sessions;
  providers: Providers;
  signIn: SignIn;
  publicUrl: string;
  /** Limits the attempts per client address. */
  limitAttempts: RequestHandler;
  log: Logger;
}

const signInSchema = z.strictObject({
  issuer: z.string().max(63).optional(),
  return_to: z.string().optional(),
  level: z.coerce.number().int().min(0).max(9).optional(),
  max_age: z.coerce.number().int().min(0).max(86_400).optional(),
});

/**
 * The pages for signing in and out. They use no scripts and no bearer tokens. State-changing requests must come from a
 * page of this origin.
 */
export function authRoutes(deps: AuthRoutesDeps): Router {
  const { edge, sessions, signIn, publicUrl } = deps;
  const router = Router();

  router.get(STYLE_PATH, (_req, res) => {
    res.set('Cache-Control', 'public, max-age=3600').type('css').send(STYLE);
  });
  router.use('/auth', deps.limitAttempts);

  router.get('/auth/sign-in', async (req, res) => {
    const query = parseQuery(signInSchema, req);
    const return_to = parseReturnTo(query.return_to, publicUrl);
    const issuer = chooseIssuer(deps.providers, query.issuer);
    if (issuer === null) {
      sendHtml(
        res,
        choicePage(deps.providers.issuers, (key) => linkWith(req, key)),
      );
      return;
    }
    const level = query.level ?? null;
    const { secret, state, url } = await signIn.begin({
      issuer,
      return_to,
      level,
      max_age_s: query.max_age ?? null,
    });
    for (const name of surplusSignIns(req.headers.cookie)) res.clearCookie(name, COOKIE_ATTRIBUTES);
    res.cookie(signInCookie(state), secret, { ...COOKIE_ATTRIBUTES, maxAge: SIGN_IN_MS });
    redirect(res, url.href);
  });

  router.get([CALLBACK_PATH, `${CALLBACK_PATH}/:issuer`], async (req, res) => {
    const own = typeof req.params.issuer === 'string' ? `/${encodeURIComponent(req.params.issuer)}` : '';
    const url = new URL(`${publicUrl}${CALLBACK_PATH}${own}`);
    url.search = new URL(req.originalUrl, publicUrl).search;
    const cookie = signInCookie(url.searchParams.get('state') ?? '');
    const opened = await signIn.complete({
      secret: readSecret(req.headers.cookie, cookie),
      url,
      formerSecret: readSecret(req.headers.cookie, SESSION_COOKIE),
      userAgent: req.get('User-Agent') ?? '',
      http_request_id: req.id,
    });
    res.clearCookie(cookie, COOKIE_ATTRIBUTES);
    res.cookie(SESSION_COOKIE, opened.secret, COOKIE_ATTRIBUTES);
    redirect(res, opened.return_to);
  });

  router.get(ACCOUNT_PATH, async (req, res) => {
    if (!hasCookie(req.headers.cookie, SESSION_COOKIE)) {
      redirect(res, '/auth/sign-in');
      return;
    }
    const { principal, credential } = await callerBySession(edge, req);
    await authorizeRead(
      edge.control,
      { principal, credential, http_request_id: req.id },
      { operation: 'session.read' },
    );
    const current = sessionIdOf(credential);
    const shown = (await sessions.listOpen(principal)).map((row) => ({
      ...row,
      is_current: row.id === current,
    }));
    const end = await endSessionUrl(deps, credential.issuer);
    sendHtml(res, accountPage(principal, shown), { formTargets: end === null ? [] : [end.origin] });
  });

  router.post('/auth/sign-out', async (req, res) => {
    assertSameOrigin(presentedBy(req), publicUrl);
    const issuer = await signOut(deps, req);
    res.clearCookie(SESSION_COOKIE, COOKIE_ATTRIBUTES);
    const end = issuer === null ? null : await endSessionUrl(deps, issuer);
    redirect(res, end === null ? '/auth/signed-out' : end.href);
  });

  router.get('/auth/signed-out', async (req, res) => {
    const open = await sessions.findOpen(readSecret(req.headers.cookie, SESSION_COOKIE));
    // A link from another site must not tell signed-in people that they are signed out.
    if (open !== undefined) redirect(res, ACCOUNT_PATH);
    else sendHtml(res, signedOutPage());
  });

  router.post('/auth/sessions/:id/end', async (req, res) => {
    const id = parse(z.uuid(), req.params.id, 'The id');
    const caller = await callerBySession(edge, req);
    const isCurrent = sessionIdOf(caller.credential) === id;
    await endSession(
      edge.control,
      { ...caller, http_request_id: req.id },
      { id, reason: isCurrent ? 'signed_out' : 'ended' },
    );
    if (isCurrent) res.clearCookie(SESSION_COOKIE, COOKIE_ATTRIBUTES);
    redirect(res, isCurrent ? '/auth/signed-out' : ACCOUNT_PATH);
  });

  router.use('/auth', refusalWriter(deps.log));
  return router;
}

/** The named issuer, or the only one; null when there are several to choose from. */
function chooseIssuer({ issuers }: Providers, key: string | undefined): WebIssuer | null {
  if (issuers.length === 0) {
    throw new BrokerError(
      'not_found',
      'Browser sign-in is not configured: no issuer has `web`. Use the command line: countersign login.',
    );
  }
  if (key === undefined) return issuers.length === 1 ? (issuers[0] ?? null) : null;
  const issuer = issuers.find((candidate) => candidate.key === key);
  if (issuer !== undefined) return issuer;
  const known = issuers.map((candidate) => candidate.key).join(', ');
  throw new BrokerError('not_found', `Unknown identity provider. Choose one of ${known}.`);
}

/** The address of the same sign-in at that issuer. */
function linkWith(req: Request, key: string): string {
  const query = new URLSearchParams(new URL(req.originalUrl, 'http://localhost').search);
  query.set('issuer', key);
  return `/auth/sign-in?${query}`;
}

/** @throws BrokerError `unauthenticated` without a session: pages accept no tokens */
async function callerBySession(edge: Edge, req: Request): Promise<Caller> {
  if (!hasCookie(req.headers.cookie, SESSION_COOKIE)) {
    throw new BrokerError('unauthenticated', 'You are not signed in. Sign in at /auth/sign-in.');
  }
  return edge.authenticate(presentedBy(req));
}

/**
 * Ends the browser's session.
 *
 * @returns the issuer of the session, even if it has expired, because the browser may still be signed in at the
 *   provider; null for an unknown session
 */
async function signOut({ edge, sessions }: AuthRoutesDeps, req: Request): Promise<string | null> {
  const issuer = await sessions.issuerOf(readSecret(req.headers.cookie, SESSION_COOKIE));
  try {
    const caller = await callerBySession(edge, req);
    const id = sessionIdOf(caller.credential);
    if (id === null) return null;
    await endSession(edge.control, { ...caller, http_request_id: req.id }, { id, reason: 'signed_out' });
  } catch (error) {
    // An expired or revoked session has already ended. The cookie is removed anyway.
    const isOver =
      error instanceof BrokerError && ['unauthenticated', 'token_invalid', 'not_found'].includes(error.code);
    if (!isOver) throw error;
  }
  return issuer;
}

/**
 * Sends a page. Its content security policy allows only its own stylesheet.
 *
 * @param options.formTargets other origins that a form submission may redirect to, because browsers check redirect
 *   targets
 */
function sendHtml(res: Response, text: string, options: { formTargets?: readonly string[] } = {}): void {
  const targets = ["'self'", ...(options.formTargets ?? [])].join(' ');
  res
    .set({
      'Content-Security-Policy': `default-src 'none'; style-src 'self'; form-action ${targets}; frame-ancestors 'none'; base-uri 'none'`,
      // Same-origin forms need the referrer. Other origins get none.
      'Referrer-Policy': 'same-origin',
      'Cache-Control': 'no-store',
    })
    .type('html')
    .send(text);
}

function redirect(res: Response, location: string): void {
  res.set('Cache-Control', 'no-store').redirect(303, location);
}

/** Renders refusals as pages instead of problem documents. */
function refusalWriter(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
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
    sendHtml(res, refusalPage(shown, waysOn(req, problem, status !== 401)));
  };
}

/** The links that a refusal page offers. */
function waysOn(req: Request, problem: BrokerError, mayBeSignedIn: boolean): Way[] {
  const again = againOf(problem);
  const account = hasCookie(req.headers.cookie, SESSION_COOKIE) ? [BACK_TO_ACCOUNT] : [];
  // A refused sign-in does not change an existing session.
  if (again !== null) return [{ href: again, label: 'Sign in again' }, ...account];
  return mayBeSignedIn && account.length > 0 ? account : [SIGN_IN_AGAIN];
}
