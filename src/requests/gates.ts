import type { RequestKinds } from '../decide/control.ts';
import { type AboutRequest, obligationGate, reasonGate } from '../decide/refusals.ts';
import type { Gate } from '../errors.ts';
import { type ChangeRequest, isOpen } from './request.ts';

/**
 * Every answer says what would change it (design invariant 14): obligations and reasons as gates, each with who can
 * clear it and the call that does.
 */

/** What stands between an open request and its application. */
export function requestGates(
  request: ChangeRequest,
  { now_ms: nowMs, kinds }: { now_ms: number; kinds: RequestKinds },
): Gate[] {
  const { standing, content } = request;
  if (!isOpen(request)) return request.state === 'conflicted' ? [baseMovedGate(request, kinds)] : [];
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

/** What is left of a request whose base has moved: its content can be proposed again. */
export function baseMovedGate({ kind, content }: ChangeRequest, kinds: RequestKinds): Gate {
  return {
    code: 'base_moved',
    detail: `${kinds.of(kind).conflict} Propose the same content again; it needs new approvals.`,
    cleared_by: 'proposer',
    call: { method: 'POST', path: '/v1/requests', body: { ...content } },
  };
}

/** How a gate of a request names it. */
export function aboutRequest({ id, digest }: ChangeRequest): AboutRequest {
  return { path: `/v1/requests/${id}`, digest };
}
