import type { ErrorRequestHandler } from 'express';
import type { Metrics } from '../http/metrics.ts';
import { logProblem, toBrokerError } from '../http/problem.ts';
import { FORM } from '../http/route.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { invalidForm } from './form-parameters.ts';
import { OAuthError, toOAuthError } from './oauth-error.ts';

/** What the OAuth endpoints have in common. */
export const oauth = {
  method: 'POST',
  perAddress: true,
  bodyType: FORM,
  success: 200,
} as const;

/** The dependencies of {@link oauthErrors}. */
export interface OAuthErrorsDeps {
  log: IdentityLog;
  /** Counts each refused token of an exchange. */
  metrics: Pick<Metrics, 'turnedAway'>;
}

/** The error handlers of the OAuth endpoints. Every error has OAuth's own format. */
export function oauthErrors({ log, metrics }: OAuthErrorsDeps): ErrorRequestHandler[] {
  return [countRefusals(metrics.turnedAway), translateErrors(log), writeOAuthError];
}

/** Counts only unauthenticated callers. A denial by policy is recorded instead. */
function countRefusals(turnedAway: Metrics['turnedAway']): ErrorRequestHandler {
  return (error: unknown, _request, _response, next) => {
    const cause = error instanceof OAuthError ? error.cause : undefined;
    if (cause instanceof TokenRefused && cause.reason !== 'policy_denied') turnedAway('token_invalid');
    next(error);
  };
}

/** Translates refusals of authentication, authorization and rate, and failures of the broker. */
function translateErrors(log: IdentityLog): ErrorRequestHandler {
  return (error: unknown, request, _response, next) => {
    next(error instanceof OAuthError ? error : (bodyFault(error) ?? translated(error)));

    function translated(failure: unknown): OAuthError {
      const problem = toBrokerError(failure);
      logProblem(log, problem, request.id);
      return toOAuthError(problem, request.id);
    }
  };
}

/** Errors of the body parser: too large, compressed, unknown charset or truncated. */
function bodyFault(error: unknown): OAuthError | undefined {
  const isBodyFault = error instanceof Error && 'type' in error && 'status' in error;
  return isBodyFault ? invalidForm('the body is malformed or too large') : undefined;
}

const writeOAuthError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (!(error instanceof OAuthError) || response.headersSent) {
    next(error);
    return;
  }
  response
    .status(error.status)
    .set({ ...error.headers, 'Cache-Control': 'no-store' })
    .json({ error: error.code, error_description: error.message, reference: error.reference });
};
