import { BrokerError } from '../errors.ts';
import { updateRequest } from '../store/requests.ts';
import type { Db, Tx } from '../store/statement.ts';
import { strongTag } from '../strong-tag.ts';
import { type UnknownName, unknownName } from '../unknown-name.ts';
import type { GateContext } from './gates.ts';
import { type ChangeRequest, loadRequest, type StoredVote, toRow } from './request.ts';
import { isOpen } from './states.ts';
import { toView } from './view.ts';

/** One request. @throws BrokerError `not_found` */
export async function findExisting(db: Db, id: string): Promise<ChangeRequest> {
  const request = await loadRequest(db, id);
  if (request === undefined) throw unknownName(unknownRequest(id));
  return request;
}

/** How a request is named that does not exist, or that the caller may not read. */
export function unknownRequest(id: string): Omit<UnknownName, 'nearest'> {
  return { what: 'request', name: id };
}

/**
 * One request that can still change.
 *
 * @throws BrokerError `not_found`, or `request_closed` if it has reached a final state
 */
export async function findOpen(db: Db, id: string): Promise<ChangeRequest> {
  const request = await findExisting(db, id);
  if (isOpen(request)) return request;
  throw new BrokerError('request_closed', `The request is ${request.state} and can no longer change.`, {
    extra: { state: request.state, digest: request.digest },
  });
}

/** A request, and the content of it that its caller has read; null: they do not say. */
export interface ReadContent {
  request_id: string;
  digest: string | null;
}

/**
 * Checks that the caller has read the current content of the request.
 *
 * @throws BrokerError `digest_mismatch`, with the current digest
 */
export function assertDigest(request: ChangeRequest, digest: string): void {
  if (request.digest === digest) return;
  throw new BrokerError(
    'digest_mismatch',
    'The request has changed since you read it. Read it again, then decide.',
    {
      extra: { digest: request.digest },
      gates: [
        {
          code: 'digest_mismatch',
          detail: 'Read the request again.',
          cleared_by: 'caller',
          call: { method: 'GET', path: `/v1/requests/${request.id}` },
        },
      ],
    },
  );
}

/** The condition of a change: what its caller has read. At least one of the two is required. */
export interface Precondition {
  /** The digest of the content that was read, in the body. */
  digest: string | undefined;
  /** The `If-Match` header. */
  ifMatch: string | undefined;
}

/**
 * Checks that the caller has read the current content or the current answer.
 *
 * @throws BrokerError `precondition_required` without a condition, `digest_mismatch`, `weak_validator`, or
 *   `precondition_failed` if the header names another answer
 * @see RFC 9110 section 13.1.1; RFC 6585 section 3
 */
export function assertPrecondition(
  request: ChangeRequest,
  { digest, ifMatch }: Precondition,
  current: GateContext & { votes: readonly StoredVote[] },
): void {
  if (digest !== undefined) assertDigest(request, digest);
  if (ifMatch !== undefined) assertIfMatch(ifMatch, strongTag(toView(request, current)));
  if (digest === undefined && ifMatch === undefined) {
    throw new BrokerError(
      'precondition_required',
      'Send the `digest` of the request that you read in the body, or its ETag in If-Match.',
    );
  }
}

function assertIfMatch(ifMatch: string, current: string): void {
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes('*') || tags.includes(current)) return;
  const headers = { ETag: current };
  if (tags.some((tag) => tag.startsWith('W/'))) {
    throw new BrokerError(
      'weak_validator',
      'If-Match never matches a weak ETag (W/"…"). A proxy that compresses answers makes them weak. ' +
        'Send the `digest` of the request that you read in the body instead, or read it with Accept-Encoding: identity.',
      { headers },
    );
  }
  throw new BrokerError('precondition_failed', 'The request has changed since you read it. Read it again.', {
    headers,
  });
}

/** Stores the request's next revision. */
export async function saveNext(tx: Tx, request: ChangeRequest, nowMs: number): Promise<ChangeRequest> {
  const next = { ...request, revision: request.revision + 1, updated_ms: nowMs };
  await updateRequest(tx, toRow(next));
  return next;
}
