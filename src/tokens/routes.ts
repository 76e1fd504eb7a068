import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Router } from 'express';
import type { SigningKeys } from '../identity/keys.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { OPERATION_NAMES } from '../operations.ts';
import type { Exchange } from './exchange.ts';
import { TOKEN_EXCHANGE_GRANT } from './exchange-form.ts';
import { OAuthError } from './oauth-error.ts';

const FORM = 'application/x-www-form-urlencoded';

/** Room for one token and the other parameters. */
const MAX_FORM_BYTES = 2 * MAX_TOKEN_BYTES;

/** What {@link tokenRoutes} needs. */
export interface TokenRoutesDeps {
  /** The broker's public URL, without a path. */
  issuer: string;
  exchange: Exchange;
  signingKeys: SigningKeys;
}

/**
 * `POST /oauth/token` (RFC 8693), `GET /.well-known/jwks.json` and `GET /.well-known/oauth-authorization-server`
 * (RFC 8414). Errors of the token endpoint have OAuth's own shape. No route here needs a token.
 */
export function tokenRoutes({ issuer, exchange, signingKeys }: TokenRoutesDeps): Router {
  const router = express.Router();

  const readForm = express.text({ type: FORM, limit: MAX_FORM_BYTES, inflate: false });
  router.post('/oauth/token', readForm, async (request, response) => {
    response.set('Cache-Control', 'no-store');
    const body: unknown = request.body;
    // The body is a string only when the content type was the form's.
    if (typeof body !== 'string') throw invalidForm(`the body must be ${FORM}`);
    response.json(await exchange.exchange(body));
  });
  router.use('/oauth/token', writeOAuthError);

  router.get('/.well-known/jwks.json', async (_request, response) => {
    response.set('Cache-Control', 'public, max-age=60').json(await signingKeys.jwks());
  });

  router.get('/.well-known/oauth-authorization-server', (_request, response) => {
    response.set('Cache-Control', 'public, max-age=60').json({
      issuer,
      token_endpoint: new URL('/oauth/token', issuer).href,
      jwks_uri: new URL('/.well-known/jwks.json', issuer).href,
      grant_types_supported: [TOKEN_EXCHANGE_GRANT],
      token_endpoint_auth_methods_supported: ['none'],
      response_types_supported: [],
      scopes_supported: OPERATION_NAMES,
    });
  });

  return router;
}

function invalidForm(description: string): OAuthError {
  return new OAuthError('invalid_request', description, randomUUID());
}

const writeOAuthError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  const answer = error instanceof OAuthError ? error : bodyFault(error);
  if (answer === undefined) {
    next(error);
    return;
  }
  response
    .status(answer.status)
    .set('Cache-Control', 'no-store')
    .json({ error: answer.code, error_description: answer.message, reference: answer.reference });
};

/** The body reader's own refusals: too large, compressed, an unknown character set, cut off. */
function bodyFault(error: unknown): OAuthError | undefined {
  const isBodyFault = error instanceof Error && 'type' in error && 'status' in error;
  return isBodyFault ? invalidForm('the body could not be read, or is too large') : undefined;
}
