import express, { type ErrorRequestHandler, Router } from 'express';
import { BrokerError, PROBLEMS, type ProblemCode } from '../errors.ts';
import { logFailure, toBrokerError } from '../http/problem.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import type { Logger } from '../logger.ts';
import { endByProvider, type ProviderLogoutDeps } from './provider-logout.ts';

const FORM = 'application/x-www-form-urlencoded';
const PATH = '/auth/backchannel-logout';

/** What {@link logoutRoutes} needs. */
export interface LogoutRoutesDeps extends ProviderLogoutDeps {
  log: Logger;
  /** Called for each refused logout token. */
  turnedAway: (code: ProblemCode) => void;
}

/**
 * `POST /auth/backchannel-logout`: providers report ended sessions here. The response is 200 when the session has ended
 * here too, and 400 in OAuth's error format for a refused logout token. A provider calls for all its users from one
 * address, so the limit on attempts does not apply.
 *
 * @see OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.8
 */
export function logoutRoutes(deps: LogoutRoutesDeps): Router {
  const router = Router();
  const readForm = express.text({ type: FORM, limit: 2 * MAX_TOKEN_BYTES, inflate: false });
  router.post(PATH, readForm, async (req, res) => {
    const token = parseForm(req.body);
    await endByProvider(deps, { token, http_request_id: req.id });
    res.set('Cache-Control', 'no-store').status(200).end();
  });
  router.use(PATH, writeError(deps));
  return router;
}

/** @throws BrokerError `invalid_request` unless there is one logout token */
function parseForm(body: unknown): string {
  // The body is a string only for the form content type.
  const form = new URLSearchParams(typeof body === 'string' ? body : '');
  const [token, ...more] = form.getAll('logout_token');
  if (token !== undefined && token !== '' && more.length === 0) return token;
  throw new BrokerError('invalid_request', `Send a form (${FORM}) with one logout_token.`);
}

function writeError({ log, turnedAway }: LogoutRoutesDeps): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const problem = toBrokerError(error);
    const { status } = PROBLEMS[problem.code];
    const isOurs = status >= 500;
    if (problem.code === 'token_invalid') turnedAway(problem.code);
    logFailure(log, problem, req.id);
    res
      .status(isOurs ? status : 400)
      .set({ ...problem.fields.headers, 'Cache-Control': 'no-store' })
      .json({
        error: isOurs ? 'temporarily_unavailable' : 'invalid_request',
        error_description: problem.message,
      });
  };
}
