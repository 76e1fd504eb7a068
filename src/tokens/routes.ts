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

/** Forms are UTF-8. In another encoding, whoever stands in between would read another request than the broker does. */
const FORM_TYPE = /^application\/x-www-form-urlencoded *(?:; *charset=("?)utf-8\1 *)?$/i;

/** Room for two tokens and the other parameters. */
const MAX_FORM_BYTES = 3 * MAX_TOKEN_BYTES;

/** What {@link tokenRoutes} needs. */
export interface TokenRoutesDeps {
  /** The broker's public URL, without a path. */
  issuer: string;
  exchange: Exchange;
  signingKeys: SigningKeys;
  /** Hears of each token that was refused. */
  turnedAway: (code: ProblemCode) => void;
}

/**
 * `POST /oauth/token` (RFC 8693), `GET /.well-known/jwks.json` and the metadata of both. Errors of the token endpoint
 * have OAuth's own shape. No route here needs a token.
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

/** Reads the body of an OAuth request, as text: {@link formOf} has it then. */
export const readForm = express.text({
  type: ({ headers }) => FORM_TYPE.test(headers['content-type'] ?? ''),
  limit: MAX_FORM_BYTES,
  inflate: false,
});

/** The form that a request brought. @throws OAuthError `invalid_request` for any other content type */
function formOf({ body }: Request): string {
  // The body is a string only when the content type was the form's.
  if (typeof body !== 'string') throw invalidForm(`the body must be ${FORM}, in UTF-8`);
  return body;
}

/** The `token` of a form that is about one token. @throws OAuthError `invalid_request` @see RFC 7662, RFC 7009 section 2.1 */
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

/** The error handlers of OAuth endpoints where a caller may be refused as on every other route. */
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

/** Strangers only: whom policy denies a token is known, and their denial is recorded. */
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

/** The body reader's own refusals: too large, compressed, an unknown character set, cut off. */
function bodyFault(error: unknown): OAuthError | undefined {
  const isBodyFault = error instanceof Error && 'type' in error && 'status' in error;
  return isBodyFault ? invalidForm('the body could not be read, or is too large') : undefined;
}
