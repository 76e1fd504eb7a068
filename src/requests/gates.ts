import { EVERY_NAMESPACE, type RequestKinds } from '../decide/control.ts';
import { type AboutRequest, obligationGate, type RoleScope, reasonGate } from '../decide/refusals.ts';
import type { Gate } from '../errors.ts';
import { inWords } from '../moment.ts';
import { calendarOf, nextOpening, type Opening, type TimeObligation } from '../policy/next-opening.ts';
import type { Policy } from '../policy/policies.ts';
import { activeWithHash } from '../policy/staged-policy.ts';
import { standingDemands } from './demands.ts';
import { type ChangeRequest, placesOf, type Standing } from './request.ts';
import { isOpen } from './states.ts';

/**
 * Every answer says what would change it (design invariant 14). Obligations and reasons become gates; each names who can
 * clear it and the call to use.
 */

/** What the gates of a request depend on besides the request. */
export interface GateContext extends OpeningContext {
  kinds: RequestKinds;
}

/** What the next opening depends on. */
interface OpeningContext {
  now_ms: number;
  /** The active policy. */
  policy: Policy;
}

/** The gates that block an open request from being applied. */
export function requestGates(request: ChangeRequest, at: GateContext): Gate[] {
  const { now_ms: nowMs, kinds } = at;
  const { standing, content } = request;
  if (!isOpen(request)) return request.state === 'conflicted' ? [baseMovedGate(request, kinds)] : [];
  const gates =
    standing.effect === 'deny'
      ? standing.reasons.map(reasonGate)
      : standing.obligations.map((obligation) => obligationGate(obligation, aboutRequest(request, at)));
  const demands = standingDemands(request);
  for (const { person, comment } of demands) {
    gates.push({
      code: 'changes_requested',
      detail: `${person} asks for changes. Edit the request, or ask ${person} to approve it or to withdraw comment ${comment}.`,
      cleared_by: 'proposer',
      call: { method: 'PATCH', path: `/v1/requests/${request.id}` },
    });
  }
  if (content.start_ms !== null && content.start_ms > nowMs) {
    const detail = `The request starts on ${inWords('UTC', content.start_ms)}.`;
    gates.push({ code: 'start_time', detail, cleared_by: 'time', call: null });
  }
  if (standing.effect === 'allow' && demands.length === 0 && content.apply === 'manual') {
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
export function baseMovedGate({ kind, content, standing }: ChangeRequest, kinds: RequestKinds): Gate {
  return {
    code: 'base_moved',
    detail: `${standing.conflict ?? kinds.of(kind).conflict} Propose the same content again; it requires new approvals.`,
    cleared_by: 'proposer',
    call: { method: 'POST', path: '/v1/requests', body: { ...content } },
  };
}

/** The reference to a request in its gates. */
export function aboutRequest(request: ChangeRequest, at: GateContext): AboutRequest {
  const { id, digest, standing } = request;
  return {
    path: `/v1/requests/${id}`,
    digest,
    scope: scopeOf(request, at.kinds),
    now_ms: at.now_ms,
    opening: (obligation) => openingOf(obligation, standing, at),
  };
}

/** Where those who decide about a request must hold a role. A definition applies to every environment. */
export function scopeOf(request: ChangeRequest, kinds: RequestKinds): RoleScope {
  const isDefinition = request.plan.changes.some(({ facts }) => facts.scope === 'definition');
  return placesOf(request, kinds).map(({ namespace, environment }) => ({
    namespace: namespace ?? EVERY_NAMESPACE,
    environment: (isDefinition ? null : environment) ?? '*',
  }));
}

/**
 * When time lets a request through: the next opening, or the one since its last decision if it is open now. Thus the
 * answer changes only when the opening does, and its ETag with it.
 */
function openingOf(
  obligation: TimeObligation,
  { at_ms, policy_hash }: Standing,
  { now_ms, policy }: OpeningContext,
): Opening | null {
  // Another policy may have other windows under these names. The request meets it at its next look.
  const decided = activeWithHash(policy, policy_hash);
  if (decided === null) return null;
  const from = (nowMs: number) =>
    nextOpening(calendarOf(obligation), { data: decided.broker.calendar, nowMs });
  const next = from(now_ms);
  return next?.at_ms === now_ms ? from(Math.min(at_ms, now_ms)) : next;
}
