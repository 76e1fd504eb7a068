import type { ErrorRequestHandler } from 'express';
import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { BrokerError } from '../errors.ts';
import { logFailure, toBrokerError } from '../http/problem.ts';
import { FORM, noContent, PUBLIC } from '../http/route.ts';
import type { Logger } from '../logger.ts';
import { PROBLEMS, type ProblemCode } from '../problems.ts';
import { endByProvider, type ProviderLogoutDeps } from './provider-logout.ts';

const { route } = routesFor<ProviderLogoutDeps>({
  tag: 'Signing in with a browser',
  format: 'logout',
  since: '1.0',
});

/**
 * Providers report ended sessions here. The response is 200 when the session has ended here too, and 400 in OAuth's
 * error format for a refused logout token. A provider calls for all its users from one address, so the limit on attempts
 * does not apply.
 *
 * @see OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.8
 */
export const logoutRoutes = [
  route({
    name: 'backchannelLogout',
    operation: 'session.end',
    method: 'POST',
    path: '/auth/backchannel-logout',
    summary: 'the provider reports a logout',
    caller: null,
    outcomes: {
      ...PUBLIC,
      // The credential is the logout token. It stands for the provider, so the person's role does not matter.
      no_token: 'refused',
      garbage: 'refused',
      wrong_audience: 'refused',
      unwritable: 'refused',
    },
    bodyType: FORM,
    body: z.looseObject({ logout_token: z.string().min(1) }),
    success: 200,
    answer: noContent,
    errors: ['token_invalid', 'issuer_unavailable'],
    handle: async (deps, { body, request }) => {
      await endByProvider(deps, { token: parseForm(body), ids: request.ids });
      return { body: undefined };
    },
  }),
];

/** @throws BrokerError `invalid_request` unless there is one logout token */
function parseForm(body: unknown): string {
  // The body is a string only for the form content type.
  const form = new URLSearchParams(typeof body === 'string' ? body : '');
  const [token, ...more] = form.getAll('logout_token');
  if (token !== undefined && token !== '' && more.length === 0) return token;
  throw new BrokerError('invalid_request', `Send a form (${FORM}) with one logout_token.`);
}

/**
 * The error handler of {@link logoutRoutes}.
 *
 * @param deps.turnedAway called for each refused logout token
 */
export function logoutErrors(deps: {
  log: Logger;
  turnedAway: (code: ProblemCode) => void;
}): ErrorRequestHandler[] {
  const { log, turnedAway } = deps;
  return [
    (error: unknown, req, res, next) => {
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
    },
  ];
}
