/** The grant type of RFC 8693. */
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** The type of every token that is issued. */
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

const SUBJECT_TYPES = ['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token'];
const ISSUED_TYPES = [ACCESS_TOKEN_TYPE, 'urn:ietf:params:oauth:token-type:jwt'];

/** RFC 6749 appendix A.4: scope tokens, separated by single spaces. */
const SCOPE = /^[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*$/;

/** A token exchange as asked for. Absent parameters are undefined: the trust rule decides then. */
export interface ExchangeForm {
  subjectToken: string;
  audience: string | undefined;
  scope: string[] | undefined;
}

/** What is wrong with a form: never anything about a token. */
export interface FormFault {
  error: 'invalid_request' | 'invalid_scope' | 'invalid_target' | 'unsupported_grant_type';
  description: string;
}

/**
 * Reads the form of a token exchange. A parameter that is there twice is refused whatever it is: taking the first or
 * the last would let two readers see two requests. Unknown parameters are ignored, as RFC 6749 section 3.2 demands,
 * and nothing besides `subject_token` can stand for the caller.
 *
 * @see RFC 8693 section 2.1
 */
export function parseExchangeForm(body: string): ExchangeForm | FormFault {
  const form = new URLSearchParams(body);
  const names = [...form.keys()];
  if (new Set(names).size !== names.length) return invalid('a parameter is given more than once');
  // RFC 6749 section 3.1: a parameter without a value is treated as if it were not there.
  const read = (name: string): string | undefined => form.get(name) || undefined;

  const grant = read('grant_type');
  if (grant === undefined) return invalid('grant_type is missing');
  if (grant !== TOKEN_EXCHANGE_GRANT) {
    return { error: 'unsupported_grant_type', description: 'only token exchange (RFC 8693) is supported' };
  }
  const subjectToken = read('subject_token');
  if (subjectToken === undefined) return invalid('subject_token is missing');
  if (!SUBJECT_TYPES.includes(read('subject_token_type') ?? '')) {
    return invalid('subject_token_type must be the jwt or the id_token type');
  }
  if (read('actor_token') !== undefined || read('actor_token_type') !== undefined) {
    return invalid('actor tokens are not supported');
  }
  if (!ISSUED_TYPES.includes(read('requested_token_type') ?? ACCESS_TOKEN_TYPE)) {
    return invalid('requested_token_type must be the access_token or the jwt type');
  }
  if (read('resource') !== undefined) {
    return { error: 'invalid_target', description: 'use audience instead of resource' };
  }
  const scope = read('scope');
  if (scope !== undefined && !SCOPE.test(scope)) {
    return {
      error: 'invalid_scope',
      description: 'scope must be operation names separated by single spaces',
    };
  }
  return {
    subjectToken,
    audience: read('audience'),
    scope: scope === undefined ? undefined : uniqueWords(scope),
  };
}

function uniqueWords(scope: string): string[] {
  return [...new Set(scope.split(' '))];
}

function invalid(description: string): FormFault {
  return { error: 'invalid_request', description };
}
