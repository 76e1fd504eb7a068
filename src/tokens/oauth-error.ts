import type { BrokerError } from '../errors.ts';
import { PROBLEMS, type ProblemCode } from '../problems.ts';

/**
 * The error codes of the OAuth endpoints: RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9449 section 5, RFC 6750
 * section 3.1, RFC 9470 section 3, and two for the server's own faults.
 */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_dpop_proof'
  | 'unsupported_grant_type'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'insufficient_user_authentication'
  | 'temporarily_unavailable'
  | 'server_error';

/**
 * A refusal of an OAuth endpoint in OAuth's own format. `message` is sent as `error_description`, so it is plain ASCII
 * without quotes and backslashes, and identical for every refused token.
 */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode;
  readonly status: number;
  /** Identifies this refusal in the log, which has the exact reason. */
  readonly reference: string;
  /** Response headers, such as `WWW-Authenticate` or `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: OAuthErrorCode,
    description: string,
    reference: string,
    answer: { status?: number; headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(`${description} (reference ${reference})`, { cause: answer.cause });
    this.name = 'OAuthError';
    this.code = code;
    this.status = answer.status ?? statusOf(code);
    this.reference = reference;
    this.headers = answer.headers ?? {};
  }
}

function statusOf(code: OAuthErrorCode): number {
  if (code === 'temporarily_unavailable') return 503;
  return code === 'server_error' ? 500 : 400;
}

const UNAVAILABLE = [
  'temporarily_unavailable',
  'temporarily unavailable, try again in a few seconds',
] as const;

/** Problems of authentication, authorization and rate as OAuth errors. */
const ANSWERS: Partial<Record<ProblemCode, readonly [OAuthErrorCode, string]>> = {
  unauthenticated: ['invalid_token', 'send an access token in the Authorization header'],
  token_invalid: ['invalid_token', 'the access token was not accepted'],
  sign_in_required: ['insufficient_user_authentication', 'a stronger or more recent sign-in is required'],
  policy_denied: ['insufficient_scope', 'the policy denies this, see the decision log'],
  claims_incomplete: [
    'invalid_token',
    'the identity provider left claims out of the token, see claims_incomplete in the documentation',
  ],
  rate_limited: ['temporarily_unavailable', 'too many requests, try again after Retry-After'],
  ambiguous_request: [
    'invalid_request',
    'send each header once, and no Transfer-Encoding but chunked in HTTP/1.1',
  ],
  misdirected_request: [
    'invalid_request',
    'this host is not served here, use the issuer of the broker metadata',
  ],
  issuer_unavailable: UNAVAILABLE,
  not_recorded: UNAVAILABLE,
  outcome_unknown: UNAVAILABLE,
  store_unreachable: UNAVAILABLE,
  clock_behind: UNAVAILABLE,
  database_in_use: UNAVAILABLE,
  overloaded: UNAVAILABLE,
  restored_copy: UNAVAILABLE,
  store_unwritable: UNAVAILABLE,
  store_damaged: UNAVAILABLE,
  log_altered: UNAVAILABLE,
  shutting_down: UNAVAILABLE,
  internal_error: ['server_error', 'internal error'],
};

/** A problem in OAuth's format, with the same status and headers. @param reference the id of the HTTP request */
export function toOAuthError({ code, fields }: BrokerError, reference: string): OAuthError {
  const { status } = PROBLEMS[code];
  const [error, description] = ANSWERS[code] ?? ['invalid_request', 'the request was not accepted'];
  return new OAuthError(error, description, reference, { status, headers: fields.headers ?? {} });
}
