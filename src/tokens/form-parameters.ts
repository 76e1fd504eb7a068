import { randomUUID } from 'node:crypto';
import { OAuthError } from './oauth-error.ts';

/**
 * Reads the parameters of a form. A duplicate parameter makes the whole form invalid. If one value were chosen, two
 * readers could see two requests. A parameter without a value counts as absent.
 *
 * @returns null for a form with a repeated parameter
 * @see RFC 6749 section 3.2
 */
export function readParameters(body: string): ((name: string) => string | undefined) | null {
  const form = new URLSearchParams(body);
  const names = [...form.keys()];
  if (new Set(names).size !== names.length) return null;
  return (name) => form.get(name) || undefined;
}

/**
 * The form of a request.
 *
 * @param body a string only for the content type of forms
 * @throws OAuthError `invalid_request` for any other content type
 */
export function formOf(body: unknown): string {
  if (typeof body !== 'string') {
    throw invalidForm('the body must be application/x-www-form-urlencoded, in UTF-8');
  }
  return body;
}

/** The `token` parameter of a form. @throws OAuthError `invalid_request` @see RFC 7662, RFC 7009 section 2.1 */
export function tokenOfForm(body: unknown): string {
  const read = readParameters(formOf(body));
  if (read === null) throw invalidForm('a parameter is given more than once');
  const token = read('token');
  if (token === undefined) throw invalidForm('token is missing');
  return token;
}

/** The refusal of a form. */
export function invalidForm(description: string): OAuthError {
  return new OAuthError('invalid_request', description, randomUUID());
}
