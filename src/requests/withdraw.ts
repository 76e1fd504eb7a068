import type { WriteContext } from '../decide/control.ts';
import type { Refused } from '../decide/refused.ts';
import { decideRequest, recordAndRefuse } from './decide-request.ts';
import { findOpen, saveNext } from './open-request.ts';
import type { ChangeRequest } from './request.ts';

/**
 * Withdraws a request.
 *
 * @returns the withdrawn request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`
 */
export async function withdraw(writing: WriteContext, requestId: string): Promise<ChangeRequest | Refused> {
  const { principal } = writing.call;
  const operation = 'request.withdraw';
  const request = await findOpen(writing.tx, requestId);
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
