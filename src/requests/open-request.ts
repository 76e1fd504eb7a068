import { BrokerError } from '../errors.ts';
import { updateRequest } from '../store/requests.ts';
import type { Db, Tx } from '../store/statement.ts';
import { type ChangeRequest, isOpen, loadRequest, toRow } from './request.ts';

/** One request. @throws BrokerError `not_found` */
export async function findExisting(db: Db, id: string): Promise<ChangeRequest> {
  const request = await loadRequest(db, id);
  if (request === undefined) throw new BrokerError('not_found', 'No request has this id.');
  return request;
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

/**
 * Checks `If-Match` against the request's revision.
 *
 * @throws BrokerError `precondition_required` without the header, `precondition_failed` if it names another revision
 * @see RFC 9110 section 13.1.1; RFC 6585 section 3
 */
export function assertIfMatch(request: ChangeRequest, ifMatch: string | undefined): void {
  if (ifMatch === undefined) {
    throw new BrokerError(
      'precondition_required',
      'Send If-Match with the ETag of the request that you read.',
    );
  }
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes('*') || tags.includes(etagOf(request))) return;
  throw new BrokerError('precondition_failed', 'The request has changed since you read it. Read it again.', {
    headers: { ETag: etagOf(request) },
  });
}

/** The strong entity tag of a request: its revision. */
export function etagOf({ revision }: Pick<ChangeRequest, 'revision'>): string {
  return `"${revision}"`;
}

/** Stores the request's next revision. */
export async function saveNext(tx: Tx, request: ChangeRequest, nowMs: number): Promise<ChangeRequest> {
  const next = { ...request, revision: request.revision + 1, updated_ms: nowMs };
  await updateRequest(tx, toRow(next));
  return next;
}
