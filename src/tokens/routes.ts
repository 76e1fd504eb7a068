import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Request, type Router } from 'express';
import { presentedBy } from '../decide/edge.ts';
import { BrokerError, type ProblemCode } from '../errors.ts';
import { logProblem } from '../http/problem.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import type { Exchange } from './exchange.ts';
import { readParameters } from './form-parameters.ts';
import { metadataRoutes } from './metadata-routes.ts';
import { OAuthError, toOAuthError } from './oauth-error.ts';

const FORM = 'application/x-www-form-urlencoded';

/** Forms must be UTF-8. With another encoding, an intermediary could read another request than the broker. */
const FORM_TYPE = /^application\/x-www-form-urlencoded *(?:; *charset=("?)utf-8\1 *)?$/i;

/** Room for two tokens and the other parameters. */
const MAX_FORM_BYTES = 3 * MAX_TOKEN_BYTES;

/** What {@link tokenRoutes} needs. */
export interface TokenRoutesDeps {
  /** The broker's public URL, without a path. */
  issuer: string;
  exchange: Exchange;
  signingKeys: SigningKeys;
  /** Called for each refused token. */
  turnedAway: (code: ProblemCode) => void;
}

/**
 * `POST /oauth/token` (RFC 8693), `GET /.well-known/jwks.json` and their metadata. Errors of the token endpoint have
 * OAuth's own format. No route here requires a token.
 */
export function tokenRoutes({ issuer, exchange, signingKeys, turnedAway }: TokenRoutesDeps): Router {
  const router = express.Router();

  router.post('/oauth/token', readForm, async (request, response) => {
    response.set('Cache-Control', 'no-store');
    response.json(await exchange.exchange(formOf(request), presentedBy(request)));
  });
  router.use('/oauth/token', countRefusals(turnedAway), writeOAuthError);

  router.get('/.well-known/jwks.json', async (_request, response) => {
    response.set('Cache-Control', 'public, max-age=60').json(await signingKeys.jwks());
  });
  router.use(metadataRoutes(issuer));

  return router;
}

/** Reads the body of an OAuth request as text, for {@link formOf}. */
export const readForm = express.text({
  type: ({ headers }) => FORM_TYPE.test(headers['content-type'] ?? ''),
  limit: MAX_FORM_BYTES,
  inflate: false,
});

/** The form of a request. @throws OAuthError `invalid_request` for any other content type */
function formOf({ body }: Request): string {
  // The body is a string only for the form content type.
  if (typeof body !== 'string') throw invalidForm(`the body must be ${FORM}, in UTF-8`);
  return body;
}

/** The `token` parameter of a form. @throws OAuthError `invalid_request` @see RFC 7662, RFC 7009 section 2.1 */
export function tokenOfForm(request: Request): string {
  const read = readParameters(formOf(request));
  if (read === null) throw invalidForm('a parameter is given more than once');
  const token = read('token');
  if (token === undefined) throw invalidForm('token is missing');
  return token;
}

function invalidForm(description: string): OAuthError {
  return new OAuthError('invalid_request', description, randomUUID());
}

/** The error handlers of OAuth endpoints that authenticate callers like every other route. */
export function oauthErrors(log: IdentityLog): [ErrorRequestHandler, ErrorRequestHandler] {
  const translate: ErrorRequestHandler = (error: unknown, request, _response, next) => {
    if (!(error instanceof BrokerError) || error.code === 'internal_error') {
      next(error);
      return;
    }
    logProblem(log, error, request.id);
    next(toOAuthError(error, request.id));
  };
  return [translate, writeOAuthError];
}

/** Counts only unauthenticated callers. A denial by policy is recorded instead. */
function countRefusals(turnedAway: TokenRoutesDeps['turnedAway']): ErrorRequestHandler {
  return (error: unknown, _request, _response, next) => {
    const cause = error instanceof OAuthError ? error.cause : undefined;
    if (cause instanceof TokenRefused && cause.reason !== 'policy_denied') turnedAway('token_invalid');
    next(error);
  };
}

const writeOAuthError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  const answer = error instanceof OAuthError ? error : bodyFault(error);
  if (answer === undefined) {
    next(error);
    return;
  }
  response
    .status(answer.status)
    .set({ ...answer.headers, 'Cache-Control': 'no-store' })
    .json({ error: answer.code, error_description: answer.message, reference: answer.reference });
};

/** Errors of the body parser: too large, compressed, unknown charset or truncated. */
function bodyFault(error: unknown): OAuthError | undefined {
  const isBodyFault = error instanceof Error && 'type' in error && 'status' in error;
  return isBodyFault ? invalidForm('the body is malformed or too large') : undefined;
}
