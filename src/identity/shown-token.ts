import { BrokerError } from '../errors.ts';
import { type Scheme, TokenRefused } from './refusal.ts';
import { MAX_TOKEN_BYTES } from './token-form.ts';

const AUTHORIZATION = /^(Bearer|DPoP) +([^\s,]+)$/i;

/** A token as sent. */
export interface ShownToken {
  scheme: Scheme;
  token: string;
}

/** The headers that may contain an application's token: Authorization, or X-API-Key as in OFREP. */
export interface DataCredentials {
  authorization: string | undefined;
  apiKey?: string | undefined;
  /** The `DPoP` header; repeated headers are joined by commas. */
  dpop?: string | undefined;
  method: string;
  /** The requested path and query. */
  target: string;
  /** The connection that they came on. What it sends again is not verified again. */
  connection?: object;
}

/**
 * The token of an Authorization header.
 *
 * @throws TokenRefused
 * @throws BrokerError `unauthenticated` without one
 */
export function tokenOf(authorization: string | undefined): ShownToken {
  if (authorization === undefined || authorization === '') throw unauthenticated();
  if (authorization.length > MAX_TOKEN_BYTES + 'Bearer '.length) throw new TokenRefused('oversize');
  const [, scheme, token] = AUTHORIZATION.exec(authorization) ?? [];
  if (scheme === undefined || token === undefined) throw new TokenRefused('scheme_not_accepted');
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token };
}

/**
 * The token of an application.
 *
 * @throws TokenRefused
 * @throws BrokerError `unauthenticated` without one
 */
export function dataToken({ authorization, apiKey }: DataCredentials): ShownToken {
  if (apiKey === undefined || apiKey === '') return tokenOf(authorization);
  // RFC 6750 section 2 allows only one method. Otherwise two readers could see two callers.
  if (authorization !== undefined) throw new TokenRefused('two_credentials');
  return { scheme: 'Bearer', token: apiKey };
}

function unauthenticated(): BrokerError {
  return new BrokerError('unauthenticated', 'Send a token in the Authorization header: Bearer <token>.', {
    headers: { 'WWW-Authenticate': 'Bearer' },
  });
}
