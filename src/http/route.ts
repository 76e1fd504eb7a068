import { z } from 'zod';
import type { Operation } from '../operations.ts';
import type { ProblemCode } from '../problems.ts';

/*
 * Routes as data. Each call of the HTTP surface is one entry. The router, `GET /openapi.json`, the table in docs/api.md,
 * the bypass matrix, the fuzz tests and the types of clients derive from the list (`src/routes.ts`).
 */

/** The groups of calls, in the order of the docs. */
export const TAGS = [
  'Requests',
  'Flags',
  'Evaluation',
  'Emergency',
  'Policy',
  'Audit',
  'Who is calling',
  'Tokens',
  'Signing in with a browser',
  'Provisioning (SCIM 2.0)',
  'Operating',
] as const;

/**
 * The format of errors, by the standard of the call:
 *
 * - `problem`: RFC 9457
 * - `oauth`: RFC 6749 section 5.2
 * - `scim`: RFC 7644 section 3.12
 * - `page`: an HTML page
 * - `logout`: OpenID Connect Back-Channel Logout 1.0 section 2.8
 * - `ofrep`: OFREP 0.3.0
 */
export type ErrorFormat = 'problem' | 'oauth' | 'scim' | 'page' | 'logout' | 'ofrep';

/**
 * Whose credential the call requires: `any` accepts a token or a browser session, `session` only a session, `data` only
 * a token of audience `data:<environment>`.
 */
export type CallerKind = 'any' | 'session' | 'data';

/** What somebody can try against any call. Each is a column of the bypass matrix (`test/surface`). */
export const ATTEMPTS = [
  /** Without a credential. */
  'no_token',
  /** With a text that is no token. */
  'garbage',
  /** With the token of a person who has no role. */
  'no_role',
  /** With a valid token of another audience. */
  'wrong_audience',
  /** With a key-bound token, without a proof of the key. */
  'no_proof',
  /** With a browser session, from a page of another site. */
  'foreign_origin',
  /** While everything is frozen. */
  'frozen',
  /** While the policy denies everything. */
  'denied',
  /** While the store cannot be written. */
  'unwritable',
] as const;

export type Attempt = (typeof ATTEMPTS)[number];

/** `held`: accepted, but nothing is applied until somebody or something clears its gates. */
export type Outcome = 'refused' | 'held' | 'allowed';

/** What happens to each attempt by a caller who could otherwise make the call. */
export type Outcomes = Readonly<Record<Attempt, Outcome>>;

/** Public: needs no credential, asks no policy and writes nothing. */
export const PUBLIC = {
  no_token: 'allowed',
  garbage: 'allowed',
  no_role: 'allowed',
  wrong_audience: 'allowed',
  no_proof: 'allowed',
  foreign_origin: 'allowed',
  frozen: 'allowed',
  denied: 'allowed',
  unwritable: 'allowed',
} as const satisfies Outcomes;

/** A change that the policy decides. A session counts only on pages of this origin. */
export const GOVERNED_WRITE = {
  no_token: 'refused',
  garbage: 'refused',
  no_role: 'refused',
  wrong_audience: 'refused',
  no_proof: 'refused',
  foreign_origin: 'refused',
  frozen: 'allowed',
  denied: 'refused',
  unwritable: 'refused',
} as const satisfies Outcomes;

/** A read that the policy decides. Reads continue during a freeze, and while the store cannot be written. */
export const GOVERNED_READ = {
  ...GOVERNED_WRITE,
  foreign_origin: 'allowed',
  unwritable: 'allowed',
} as const satisfies Outcomes;

/** A governed read whose allowed decisions are recorded too. */
export const RECORDED_READ = { ...GOVERNED_READ, unwritable: 'refused' } as const satisfies Outcomes;

/** An answer without a body. */
export const noContent = z.undefined();

/** The pattern of a route's path. */
export function pathPattern({ path, spans }: Pick<RouteShape, 'path' | 'spans'>): RegExp {
  const pattern = path
    .replaceAll('.', '\\.')
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === spans ? '.+' : '[^/]+'));
  return new RegExp(`^${pattern}$`);
}

/** Public documents may be kept for a minute. */
export const PUBLISHED = { 'Cache-Control': 'public, max-age=60' } as const;

/** Query parameters that are ignored, whatever they are. */
export const anyQuery = z.looseObject({});

/** One call as data, without its handler. */
export interface RouteShape {
  /** Unique; the `operationId`. */
  readonly name: string;
  /** What the policy is asked; null if the call asks none. */
  readonly operation: Operation | readonly Operation[] | null;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Case-sensitive, with parameters in braces. */
  readonly path: `/${string}`;
  /** The last parameter of the path, if it may have several segments. */
  readonly spans?: string;
  readonly tag: (typeof TAGS)[number];
  /** A short phrase: what the call does. */
  readonly summary: string;
  readonly format: ErrorFormat;
  readonly caller: CallerKind | null;
  readonly outcomes: Outcomes;
  /** The version that introduced it. */
  readonly since: string;
  /** Set when a call is to be removed. @see RFC 9745 */
  readonly deprecated?: { readonly on: string; readonly instead: string };
  /** Limits attempts per client address. Calls with a caller are also limited per principal. */
  readonly perAddress?: true;
  readonly params?: z.ZodObject;
  /** Absent: parameters are refused. */
  readonly query?: z.ZodObject;
  /** Absent: a body must be empty, or an empty object. Forms without fields are not read. */
  readonly body?: z.ZodType;
  readonly bodyType?: BodyType;
  /** The status of success. */
  readonly success: number;
  /** The body of success; for a list, of one item. */
  readonly answer: z.ZodType;
  /** Other statuses of success, with their bodies. */
  readonly also?: Readonly<Record<number, z.ZodType>>;
  /** The content type of success. Default: JSON, or SCIM's. */
  readonly answerType?: string;
  /** The codes of refusals that are specific to this call; {@link problemsOf} adds the usual ones. */
  readonly errors?: readonly ProblemCode[];
  /** Accepts `Idempotency-Key`: a retry gets the first answer. */
  readonly idempotent?: true;
  /** Answers one page of a list. */
  readonly paged?: true;
  /** Answers with a stream, which the handler opens. */
  readonly streams?: true;
  /** Requires what the caller read: `digest` in the body, or `If-Match`. */
  readonly ifMatch?: true;
  /** The entity tag of an answer. */
  etag?(body: never): string;
  /** The path of what was created. */
  location?(body: never): string;
  /** Answers 304 to `If-None-Match`, and an entity tag. */
  readonly ifNoneMatch?: true;
  /** Without a caller, but shows or ends the browser session of a request that has one. */
  readonly mayHaveSession?: true;
  /** Reads the one request that its parameter `id` names, so a token that is limited to that request may call it. */
  readonly readsOneRequest?: true;
}

/** The content type of forms. */
export const FORM = 'application/x-www-form-urlencoded';

/** The content type of policy bundles: a tar archive, compressed. @see RFC 6713 */
export const ARCHIVE = 'application/gzip';

/** The body of a route that takes an archive. */
export const archiveSchema = z
  .custom<Buffer>((value) => Buffer.isBuffer(value))
  .meta({ override: { type: 'string', format: 'binary' }, id: 'Archive' });

/** The accepted content type of a body. */
export type BodyType = 'application/json' | typeof FORM | typeof ARCHIVE | 'application/scim+json';

/** The content type of a route's body. */
export function bodyTypeOf({ bodyType, format }: RouteShape): BodyType {
  return bodyType ?? (format === 'scim' ? 'application/scim+json' : 'application/json');
}

/** The content type of a route's success. */
export function answerTypeOf({ answerType, format }: RouteShape): string {
  return answerType ?? (format === 'scim' ? 'application/scim+json' : 'application/json');
}

/** Whether a call may change something. */
export function isWrite({ method }: Pick<RouteShape, 'method'>): boolean {
  return method !== 'GET';
}

/**
 * Whether the calls of a route take turns: those of principals, and those that may write. Documents and health checks are
 * always answered; pages may wait for an identity provider, and must not keep others waiting meanwhile.
 */
export function takesTurns({ caller, operation, format }: RouteShape): boolean {
  return format !== 'page' && format !== 'ofrep' && (caller !== null || operation !== null);
}

/** The number of items of a page without `limit`. */
export const DEFAULT_PAGE = 50;

/** The query parameters of every list. */
export const pageShape = {
  limit: z.int().min(1).max(200).default(DEFAULT_PAGE).meta({ description: 'The maximum number of items.' }),
  cursor: z.string().max(2000).optional().meta({ description: '`next_cursor` of the previous page.' }),
};

/** The query parameter of lists whose items have UUIDs: only those that begin so. */
export const idBeginsShape = {
  id: z
    .string()
    .regex(/^[0-9a-f-]{6,36}$/, 'Write the beginning of an id: at least 6 of 0-9, a-f and hyphen.')
    .optional()
    .meta({ description: 'Only items whose id begins so: at least 6 characters.' }),
};

/** The query parameters of a route. */
export function queryOf({ query, paged, format }: RouteShape): z.ZodObject {
  const own = query ?? (format === 'problem' ? z.strictObject({}) : anyQuery);
  return paged === true ? own.extend(pageShape) : own;
}

/** Every problem code that a call may answer with. */
export function problemsOf(route: RouteShape): ProblemCode[] {
  const { caller, operation, errors = [], format, idempotent, ifMatch, paged, perAddress, outcomes } = route;
  const codes: ProblemCode[] = ['internal_error', 'ambiguous_request', 'misdirected_request', ...errors];
  if (format !== 'ofrep') codes.push('invalid_request');
  if (caller !== null || operation !== null || outcomes.unwritable === 'refused')
    codes.push('store_unreachable');
  if (caller !== null)
    codes.push('unauthenticated', 'token_invalid', 'claims_incomplete', 'issuer_unavailable');
  if (caller !== null || perAddress === true) codes.push('rate_limited');
  if (caller !== null && caller !== 'data' && isWrite(route)) codes.push('cross_site');
  if (caller !== null && operation !== null) codes.push('policy_denied', 'sign_in_required');
  if (takesTurns(route) || route.streams === true) codes.push('overloaded');
  if (route.params !== undefined) codes.push('not_found');
  if (operation !== null || outcomes.unwritable === 'refused') {
    codes.push('not_recorded', 'outcome_unknown', 'clock_behind', 'restored_copy', 'shutting_down');
    codes.push('database_in_use', 'store_unwritable', 'store_damaged', 'log_altered');
  }
  if (isWrite(route)) codes.push('malformed_json', 'body_too_large', 'unsupported_media_type');
  if (idempotent === true) codes.push('idempotency_key_reused');
  if (paged === true) codes.push('invalid_cursor');
  if (ifMatch === true) {
    codes.push('precondition_required', 'precondition_failed', 'weak_validator', 'digest_mismatch');
  }
  return [...new Set(codes)];
}
