import type { RequestKinds } from '../decide/control.ts';
import { type AboutRequest, obligationGate, reasonGate } from '../decide/refusals.ts';
import type { Gate } from '../errors.ts';
import { type ChangeRequest, isOpen } from './request.ts';

/**
 * Every answer says what would change it (design invariant 14). Obligations and reasons become gates; each names who can
 * clear it and the call to use.
 */

/** The gates that block an open request from being applied. */
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
    const detail = `The request starts at ${new Date(content.start_ms).toISOString()}.`;
    gates.push({ code: 'start_time', detail, cleared_by: 'time', call: null });
  }
  if (standing.effect === 'allow' && content.apply === 'manual') {
    gates.push({
      code: 'apply_required',
      detail: 'All requirements are met; the request waits for a call to apply.',
      cleared_by: 'flag-deployer',
      call: { method: 'POST', path: `/v1/requests/${request.id}/apply` },
    });
  }
  return gates;
}

/** The gate of a request whose base has changed: its content can be proposed again. */
export function baseMovedGate({ kind, content }: ChangeRequest, kinds: RequestKinds): Gate {
  return {
    code: 'base_moved',
    detail: `${kinds.of(kind).conflict} Propose the same content again; it requires new approvals.`,
    cleared_by: 'proposer',
    call: { method: 'POST', path: '/v1/requests', body: { ...content } },
  };
}

/** The reference to a request in its gates. */
export function aboutRequest({ id, digest }: ChangeRequest): AboutRequest {
  return { path: `/v1/requests/${id}`, digest };
}
