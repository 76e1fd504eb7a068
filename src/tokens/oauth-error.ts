/** The error codes of the token endpoint: RFC 6749 section 5.2, RFC 8693 section 2.2.2, and two for the server's own faults. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'temporarily_unavailable'
  | 'server_error';

/**
 * A refusal of the token endpoint in OAuth's own shape. `message` is shown as `error_description`, so it is plain ASCII
 * without quotes and backslashes, and the same for every token that is refused.
 */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode;
  readonly status: number;
  /** Names this refusal in the log, where the exact reason is. */
  readonly reference: string;

  constructor(code: OAuthErrorCode, description: string, reference: string) {
    super(`${description} (reference ${reference})`);
    this.name = 'OAuthError';
    this.code = code;
    this.status = code === 'temporarily_unavailable' ? 503 : code === 'server_error' ? 500 : 400;
    this.reference = reference;
  }
}
