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
  /** Bounds how often an address may try. */
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
 * The pages that people sign in and out with. No script, no bearer token; what changes something takes a page of this
 * origin to send it.
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
    // A link from elsewhere must not tell people who are signed in that they are not.
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

/** The issuer that was named, or the only one there is; null when there are several to choose from. */
function chooseIssuer({ issuers }: Providers, key: string | undefined): WebIssuer | null {
  if (issuers.length === 0) {
    throw new BrokerError(
      'not_found',
      'Nobody signs in with a browser here: no issuer of the configuration has `web`. The command line does: countersign login.',
    );
  }
  if (key === undefined) return issuers.length === 1 ? (issuers[0] ?? null) : null;
  const issuer = issuers.find((candidate) => candidate.key === key);
  if (issuer !== undefined) return issuer;
  const known = issuers.map((candidate) => candidate.key).join(', ');
  throw new BrokerError(
    'not_found',
    `There is no such identity provider to sign in with. Choose one of ${known}.`,
  );
}

/** The same sign-in with that issuer. */
function linkWith(req: Request, key: string): string {
  const query = new URLSearchParams(new URL(req.originalUrl, 'http://localhost').search);
  query.set('issuer', key);
  return `/auth/sign-in?${query}`;
}

/** @throws BrokerError `unauthenticated` without a session: pages take no token */
async function callerBySession(edge: Edge, req: Request): Promise<Caller> {
  if (!hasCookie(req.headers.cookie, SESSION_COOKIE)) {
    throw new BrokerError(
      'unauthenticated',
      'You are not signed in with this browser. Sign in at /auth/sign-in.',
    );
  }
  return edge.authenticate(presentedBy(req));
}

/**
 * Ends the browser's session.
 *
 * @returns the issuer it came from, even if it was over before: the provider may know the browser still, and would sign
 *   whoever comes next in at once; null when nobody knows the session
 */
async function signOut({ edge, sessions }: AuthRoutesDeps, req: Request): Promise<string | null> {
  const issuer = await sessions.issuerOf(readSecret(req.headers.cookie, SESSION_COOKIE));
  try {
    const caller = await callerBySession(edge, req);
    const id = sessionIdOf(caller.credential);
    if (id === null) return null;
    await endSession(edge.control, { ...caller, http_request_id: req.id }, { id, reason: 'signed_out' });
  } catch (error) {
    // A session that is over, or revoked, has ended already; the cookie goes all the same.
    const isOver =
      error instanceof BrokerError && ['unauthenticated', 'token_invalid', 'not_found'].includes(error.code);
    if (!isOver) throw error;
  }
  return issuer;
}

/**
 * Sends a page. The policy of its content is stricter than that of the rest: nothing but its own style.
 *
 * @param options.formTargets origins besides this one that a form may lead to: browsers count where a redirect ends
 */
function sendHtml(res: Response, text: string, options: { formTargets?: readonly string[] } = {}): void {
  const targets = ["'self'", ...(options.formTargets ?? [])].join(' ');
  res
    .set({
      'Content-Security-Policy': `default-src 'none'; style-src 'self'; form-action ${targets}; frame-ancestors 'none'; base-uri 'none'`,
      // So that the pages' own forms say where they come from; elsewhere nothing is told.
      'Referrer-Policy': 'same-origin',
      'Cache-Control': 'no-store',
    })
    .type('html')
    .send(text);
}

function redirect(res: Response, location: string): void {
  res.set('Cache-Control', 'no-store').redirect(303, location);
}

/** Tells people on a page what programs are told by a problem document. */
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

/** What a person can do after a refusal. */
function waysOn(req: Request, problem: BrokerError, mayBeSignedIn: boolean): Way[] {
  const again = againOf(problem);
  const account = hasCookie(req.headers.cookie, SESSION_COOKIE) ? [BACK_TO_ACCOUNT] : [];
  // A sign-in that was refused leaves a session as it was.
  if (again !== null) return [{ href: again, label: 'Sign in again' }, ...account];
  return mayBeSignedIn && account.length > 0 ? account : [SIGN_IN_AGAIN];
}
