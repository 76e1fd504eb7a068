import { type AboutRequest, obligationGate, reasonGate } from '../decide/refusals.ts';
import type { Gate } from '../errors.ts';
import type { ChangeRequest } from './request.ts';

/**
 * Every answer says what would change it (design invariant 14): obligations and reasons as gates, each with who can
 * clear it and the call that does.
 */

/** What stands between an open request and its application. */
export function requestGates(request: ChangeRequest, nowMs: number): Gate[] {
  const { standing, content } = request;
  if (request.state !== 'pending' && request.state !== 'ready') return closedGates(request);
  const gates =
    standing.effect === 'deny'
      ? standing.reasons.map(reasonGate)
      : standing.obligations.map((obligation) => obligationGate(obligation, aboutRequest(request)));
  if (content.start_ms !== null && content.start_ms > nowMs) {
    const detail = `It starts at ${new Date(content.start_ms).toISOString()}.`;
    gates.push({ code: 'start_time', detail, cleared_by: 'time', call: null });
  }
  if (standing.effect === 'allow' && content.apply === 'manual') {
    gates.push({
      code: 'apply_required',
      detail: 'Everything is granted; it waits for a call to apply.',
      cleared_by: 'flag-deployer',
      call: { method: 'POST', path: `/v1/requests/${request.id}/apply` },
    });
  }
  return gates;
}

function closedGates(request: ChangeRequest): Gate[] {
  if (request.state !== 'conflicted') return [];
  return [
    {
      code: 'base_moved',
      detail: 'The flags have changed since this request was made. Propose it again on what is there now.',
      cleared_by: 'proposer',
      call: { method: 'POST', path: '/v1/requests', body: { ...request.content } },
    },
  ];
}

/** How a gate of a request names it. */
export function aboutRequest({ id, digest }: ChangeRequest): AboutRequest {
  return { path: `/v1/requests/${id}`, digest };
}
