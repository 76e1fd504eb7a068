import type { WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { schedulerPrincipal } from '../principal.ts';
import { decideRequest, record } from './decide-request.ts';
import { saveNext } from './open-request.ts';
import type { ChangeRequest } from './request.ts';

/** Ends a request whose time to live has passed. @returns the refusal of the late call */
export async function expire(writing: WriteContext, request: ChangeRequest): Promise<Refused> {
  const operation = 'request.expire';
  const decision = await decideRequest(writing, {
    operation,
    principal: schedulerPrincipal,
    request,
    votes: [],
  });
  // The broker enforces the time to live: a policy can shorten it, but cannot keep a request alive.
  const after: ChangeRequest = { ...request, state: 'expired', due_ms: null };
  await record(writing, {
    operation,
    principal: schedulerPrincipal,
    decision,
    request: after,
    from: request.state,
  });
  await saveNext(writing.tx, after, writing.now_ms);
  return new Refused('request_closed', 'The request has expired. Propose it again.', {
    extra: { state: 'expired' },
  });
}
