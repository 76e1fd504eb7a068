import { z } from 'zod';
import { epochMs } from './moment.ts';

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
  invalid_request: { status: 400, title: 'The request is malformed' },
  ambiguous_request: { status: 400, title: 'The HTTP message can be read in more than one way' },
  misdirected_request: { status: 421, title: 'The broker does not serve this host' },
  invalid_bundle: { status: 422, title: 'The policy bundle cannot be used' },
  invalid_change: { status: 422, title: 'The change cannot be made to this flag' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this list' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body has another media type than the call accepts' },
  not_supported: { status: 501, title: 'The active policy does not support this' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'The path does not support this method' },
  // Who is calling.
  unauthenticated: { status: 401, title: 'A valid token is required' },
  token_invalid: { status: 401, title: 'The token was not accepted' },
  claims_incomplete: { status: 403, title: 'The identity provider left claims out of the token' },
  issuer_unavailable: { status: 503, title: 'The keys of the token issuer cannot be fetched' },
  sign_in_failed: { status: 400, title: 'The sign-in did not succeed' },
  cross_site: { status: 403, title: 'The request was sent from another site' },
  // The answers of policy and state.
  policy_denied: { status: 403, title: 'The policy denies this operation' },
  sign_in_required: { status: 401, title: 'A fresh or stronger sign-in is required' },
  request_conflicted: { status: 409, title: 'The basis of this request has changed since it was proposed' },
  request_closed: { status: 409, title: 'The request has reached a final state' },
  digest_mismatch: { status: 409, title: 'The request has changed since you read it' },
  state_conflict: { status: 409, title: 'The operation is not possible in the current state' },
  precondition_required: { status: 428, title: 'What you read is required: digest or If-Match' },
  precondition_failed: { status: 412, title: 'The resource has changed since you read it' },
  weak_validator: { status: 412, title: 'If-Match names a weak entity tag' },
  idempotency_key_reused: { status: 422, title: 'The idempotency key was already used for another request' },
  rate_limited: { status: 429, title: 'Too many requests' },
  // The broker itself.
  not_recorded: { status: 503, title: 'The decision could not be recorded, so its write was undone' },
  outcome_unknown: {
    status: 503,
    title: 'Whether the write was recorded is unknown until the broker restarts',
  },
  clock_behind: { status: 503, title: "The broker's clock is behind the decision log" },
  restored_copy: { status: 503, title: 'The database is an older copy or has another history' },
  overloaded: { status: 503, title: 'Too many calls are waiting' },
  shutting_down: { status: 503, title: 'The broker is shutting down' },
  internal_error: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>;

/** A stable problem code. */
export type ProblemCode = keyof typeof PROBLEMS;

/** A fault in one part of the input. */
export const fieldFaultSchema = z
  .object({
    pointer: z.string().meta({ description: 'A JSON Pointer in URI fragment form: `#/changes/0/flag`.' }),
    detail: z.string(),
  })
  .meta({ id: 'FieldFault' });
export type FieldFault = z.infer<typeof fieldFaultSchema>;

/**
 * One condition that blocks the caller: what it is, who can clear it, and which call clears it. Machine-readable;
 * `detail` is the sentence for people.
 */
export const gateSchema = z
  .object({
    code: z.string(),
    detail: z.string(),
    cleared_by: z
      .string()
      .meta({ description: 'Who can clear the gate: a role, `proposer`, `caller`, or `time`.' }),
    call: z
      .object({ method: z.string(), path: z.string(), body: z.unknown().optional() })
      .nullable()
      .meta({ description: 'The call that clears it; null when only time or an administrator can.' }),
    opens_ms: epochMs.nullable().optional().meta({
      description:
        'Of a gate that only time clears: when windows and blackouts first let the request through after the last decision on it. Null if that is not within 400 days, or the policy does not tell.',
    }),
    scope: z
      .array(z.object({ namespace: z.string(), environment: z.string() }))
      .optional()
      .meta({
        description:
          'Of a missing approval: where its giver must hold the role. `*` is all, which only a binding to `*` covers.',
      }),
  })
  .meta({ id: 'Gate' });
export type Gate = z.infer<typeof gateSchema>;

/** What a {@link BrokerError} carries to the caller besides its code. */
export interface ProblemFields {
  /** The faults in the input, with their places. */
  errors?: readonly FieldFault[];
  gates?: readonly Gate[];
  reasons?: readonly { code: string; detail: string }[];
  decision_id?: string;
  policy_hash?: string;
  /** Further information for the caller. It must be safe to show. */
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
