import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { PROBLEMS, type ProblemCode } from '../problems.ts';
import type { Answer } from './answer.ts';

/*
 * HTTP without domain knowledge: bodies, cursors, problems, rate limits, health and metrics. Only `operating-routes.ts`
 * imports another folder.
 */

/** The base URL of the problem descriptions. */
const PROBLEM_BASE = 'https://countersign.dev/problems/';

/**
 * The only writer of problem documents. A BrokerError becomes the problem of its code. Any other error becomes a 500
 * without its cause.
 *
 * @param resourceMetadata the address of the resource metadata, which describes the accepted tokens
 * @returns a function that logs an error and answers it
 * @see RFC 9457, RFC 9728 section 5.1
 */
export function problemWriter(
  log: Logger,
  resourceMetadata?: string,
): (error: unknown, requestId: string) => Answer {
  return (error, requestId) => {
    const problem = toBrokerError(error);
    const { status } = PROBLEMS[problem.code];
    logProblem(log, problem, requestId);
    const headers = { ...problem.fields.headers };
    if (status === 401) {
      headers['WWW-Authenticate'] = withMetadata(headers['WWW-Authenticate'] ?? 'Bearer', resourceMetadata);
    }
    const body = JSON.stringify(toDocument(problem, requestId));
    return { status, headers, type: 'application/problem+json', body };
  };
}

/**
 * Logs what the caller does not see: the cause of a failure, and the reason why a token was refused. The reason has
 * names of checks and claims, never values. The request id links the log entry to the response.
 */
export function logProblem(
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void },
  problem: BrokerError,
  requestId: string,
): void {
  const { code, cause } = problem;
  logFailure(log, problem, requestId);
  if (code === 'token_invalid') {
    const reason = cause instanceof Error ? cause.message : null;
    log.warn({ reason, code, request_id: requestId }, 'request refused');
  }
}

/** Logs an internal failure with its cause. Errors that the caller can fix are not logged. */
export function logFailure(
  log: { error(fields: object, message: string): void },
  problem: BrokerError,
  requestId: string,
): void {
  const { code, cause } = problem;
  if (PROBLEMS[code].status < 500) return;
  log.error({ err: cause ?? problem, code, request_id: requestId }, 'request failed');
}

/** Adds a parameter to a challenge. The first one follows the scheme, the others follow commas. */
function withMetadata(challenge: string, address: string | undefined): string {
  if (address === undefined) return challenge;
  return `${challenge}${challenge.includes(' ') ? ',' : ''} resource_metadata="${address}"`;
}

/** A problem document: these members, and those specific to its code. RFC 9457 section 3 */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  instance: string;
  [member: string]: unknown;
}

/** The problem document of an error. */
export function toDocument(problem: BrokerError, requestId: string): ProblemDocument {
  const { status, title } = PROBLEMS[problem.code];
  const { headers: _, extra, ...fields } = problem.fields;
  return {
    type: `${PROBLEM_BASE}${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    instance: `urn:uuid:${requestId}`,
    ...fields,
    ...extra,
  };
}

/** Errors of the body parser, by its `type`. @see body-parser README, "Errors" */
const PARSER_ERRORS: Readonly<Record<string, { code: ProblemCode; detail: string }>> = {
  'entity.parse.failed': { code: 'malformed_json', detail: 'Send a JSON object.' },
  'entity.too.large': { code: 'body_too_large', detail: 'Send less, or split the request.' },
  'encoding.unsupported': { code: 'unsupported_media_type', detail: 'Send the body without compression.' },
  'charset.unsupported': { code: 'unsupported_media_type', detail: 'Send the body as UTF-8.' },
  'request.size.invalid': {
    code: 'malformed_json',
    detail: 'The body length does not match Content-Length.',
  },
  'request.aborted': { code: 'malformed_json', detail: 'The body ended too early.' },
};

/** Converts any error to a refusal: errors of the body parser by type, unexpected ones to `internal_error`. */
export function toBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const { type, status } = (error ?? {}) as { type?: unknown; status?: unknown };
  const parser = typeof type === 'string' ? PARSER_ERRORS[type] : undefined;
  if (parser !== undefined) return new BrokerError(parser.code, parser.detail, {}, error);
  // The router throws a URIError with status 400 for a path that does not decode.
  if (status === 400) return new BrokerError('invalid_request', 'The path is malformed.', {}, error);
  // Where it failed is not known here, so neither is what it did before.
  return new BrokerError(
    'internal_error',
    'The broker failed. Whether the call had an effect is unknown: read the current state before you repeat it.',
    {},
    error,
  );
}
