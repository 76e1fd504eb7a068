/**
 * Every refusal that leaves this process: one closed list of codes, one table with their HTTP status and title.
 *
 * A code is stable: clients and runbooks branch on it. `docs/problems.md` has a heading for each, and
 * `test/errors.test.ts` keeps the two lists equal.
 *
 * @see RFC 9457
 */
export const PROBLEMS = {
  // The request itself is malformed.
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  invalid_request: { status: 400, title: 'The request does not have the expected shape' },
  invalid_change: { status: 422, title: 'The change cannot be made to this flag' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this list' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  not_supported: { status: 501, title: 'The active policy does not offer this' },
  not_found: { status: 404, title: 'There is no such thing here' },
  // Who is calling.
  unauthenticated: { status: 401, title: 'A valid token is required' },
  token_invalid: { status: 401, title: 'The token was not accepted' },
  issuer_unavailable: { status: 503, title: 'The keys of the token issuer cannot be fetched' },
  sign_in_failed: { status: 400, title: 'The sign-in did not succeed' },
  cross_site: { status: 403, title: 'The request was sent from another site' },
  // What policy and state say.
  policy_denied: { status: 403, title: 'Policy denies this operation' },
  sign_in_required: { status: 401, title: 'A fresh or stronger sign-in is required' },
  request_conflicted: { status: 409, title: 'The flags have changed since this request was made' },
  request_closed: { status: 409, title: 'The request has reached a final state' },
  digest_mismatch: { status: 409, title: 'The request has changed since you read it' },
  state_conflict: { status: 409, title: 'This is not possible in the present state' },
  precondition_required: { status: 428, title: 'If-Match is required' },
  precondition_failed: { status: 412, title: 'The resource has changed since you read it' },
  idempotency_key_reused: { status: 422, title: 'The idempotency key was used for another request' },
  rate_limited: { status: 429, title: 'Too many requests' },
  // The broker itself.
  not_recorded: { status: 503, title: 'The decision could not be recorded, so nothing was written' },
  clock_behind: { status: 503, title: 'The clock of the broker is behind the decision log' },
  shutting_down: { status: 503, title: 'The broker is stopping' },
  internal_error: { status: 500, title: 'Something went wrong inside the broker' },
} as const satisfies Record<string, { status: number; title: string }>;

/** A stable problem code. */
export type ProblemCode = keyof typeof PROBLEMS;

/** What is wrong with one part of the input; `pointer` is a JSON Pointer in URI fragment form (`#/changes/0/flag`). */
export interface FieldFault {
  pointer: string;
  detail: string;
}

/**
 * One thing that stands between a caller and what they asked for: what it is, who can clear it, and the call that
 * does. Machine-readable; `detail` is the sentence for people.
 */
export interface Gate {
  code: string;
  detail: string;
  /** Who can clear the gate: a role, `proposer`, `caller`, or `time`. */
  cleared_by: string;
  /** The call that clears it, or null when only time or an administrator can. */
  call: { method: string; path: string; body?: unknown } | null;
}

/** What a {@link BrokerError} carries to the caller besides its code. */
export interface ProblemFields {
  /** What failed at which place of the input. */
  errors?: readonly FieldFault[];
  gates?: readonly Gate[];
  reasons?: readonly { code: string; detail: string }[];
  decision_id?: string;
  policy_hash?: string;
  /** Anything else that helps the caller; it must be safe to show. */
  extra?: Readonly<Record<string, unknown>>;
  /** Response headers, such as `WWW-Authenticate` or `Retry-After`. */
  headers?: Readonly<Record<string, string>>;
}

/**
 * A refusal with a stable code. `detail` is safe to show and says how to fix it; `cause` is for the log only.
 */
export class BrokerError extends Error {
  readonly code: ProblemCode;
  readonly fields: ProblemFields;

  constructor(code: ProblemCode, detail: string, fields: ProblemFields = {}, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'BrokerError';
    this.code = code;
    this.fields = fields;
  }
}
