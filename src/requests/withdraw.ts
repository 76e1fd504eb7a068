import type { WriteContext } from '../decide/control.ts';
import type { Refused } from '../decide/refused.ts';
import { decideRequest, recordAndRefuse } from './decide-request.ts';
import { assertDigest, findOpen, type ReadContent, saveNext } from './open-request.ts';
import type { ChangeRequest } from './request.ts';

/**
 * Withdraws a request.
 *
 * @returns the withdrawn request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`, `digest_mismatch`
 */
export async function withdraw(
  writing: WriteContext,
  { request_id, digest }: ReadContent,
): Promise<ChangeRequest | Refused> {
  const { principal } = writing.call;
  const operation = 'request.withdraw';
  const request = await findOpen(writing.tx, request_id);
  if (digest !== null) assertDigest(request, digest);
  const decision = await decideRequest(writing, { operation, principal, request, votes: [] });
  const allowed = decision.effect === 'allow';
  const after: ChangeRequest = allowed ? { ...request, state: 'withdrawn', due_ms: null } : request;
  const refusal = await recordAndRefuse(writing, {
    operation,
    principal,
    decision,
    request: after,
    from: request.state,
  });
  if (refusal !== null) return refusal;
  return saveNext(writing.tx, after, writing.now_ms);
}
