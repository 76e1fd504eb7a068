import { BrokerError, type Gate } from '../errors.ts';
import type { Obligation, Reason } from '../policy/decision.ts';
import type { Decision } from '../policy/policies.ts';
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
      : standing.obligations.map((obligation) => obligationGate(obligation, request));
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

function obligationGate(obligation: Obligation, request: ChangeRequest): Gate {
  const path = `/v1/requests/${request.id}`;
  switch (obligation.kind) {
    case 'approval': {
      const whom = obligation.organization === undefined ? '' : ` for ${obligation.organization}`;
      return {
        code: 'approval_required',
        detail: `${obligation.count} more approval(s) by ${obligation.role}${whom}, by somebody who wrote no part of it.`,
        cleared_by: obligation.role,
        call: { method: 'POST', path: `${path}/approve`, body: { digest: request.digest } },
      };
    }
    case 'ticket':
      return {
        code: 'ticket_required',
        detail: `A ticket that matches ${obligation.pattern}.`,
        cleared_by: 'proposer',
        call: { method: 'PATCH', path, body: { ticket: '…' } },
      };
    case 'window':
      return {
        code: 'window_closed',
        detail: `A change window: ${obligation.windows.join(', ')}.`,
        cleared_by: 'time',
        call: null,
      };
    case 'sign_in':
      return {
        code: 'sign_in_required',
        detail: signInDetail(obligation),
        cleared_by: obligation.who,
        call: null,
      };
  }
}

function signInDetail({ level, max_age_s }: Extract<Obligation, { kind: 'sign_in' }>): string {
  const age = max_age_s === null ? '' : `, at most ${max_age_s} seconds old`;
  return `A sign-in of level ${level} or more${age}.`;
}

type Clearing = Pick<Gate, 'cleared_by' | 'call'>;

const otherPerson: Clearing = { cleared_by: 'another person with the role', call: null };
const openSession: Clearing = {
  cleared_by: 'caller',
  call: { method: 'POST', path: '/v1/break-glass', body: { incident: '…', reason: '…' } },
};
const proposeAgain: Clearing = { cleared_by: 'proposer', call: { method: 'POST', path: '/v1/requests' } };
const exchangeAgain: Clearing = { cleared_by: 'caller', call: { method: 'POST', path: '/oauth/token' } };

/** Who can do something about a reason, for the codes of the broker and of the shipped policy. */
const CLEARED_BY: Readonly<Record<string, Clearing>> = {
  frozen: {
    cleared_by: 'flag-emergency-override',
    call: { method: 'POST', path: '/v1/requests', body: { kind: 'freeze.lift', freeze: '…', reason: '…' } },
  },
  self_approval: otherPerson,
  not_a_person: otherPerson,
  not_author: { cleared_by: 'proposer', call: null },
  breakglass_missing: openSession,
  breakglass_expired: openSession,
  breakglass_budget_spent: { cleared_by: 'time', call: null },
  breakglass_unsafe: proposeAgain,
  request_expired: proposeAgain,
  rejected: proposeAgain,
  proposer_lost_role: proposeAgain,
  token_audience: exchangeAgain,
  token_scope: exchangeAgain,
};

function reasonGate({ code, detail }: Reason): Gate {
  return { code, detail, ...(CLEARED_BY[code] ?? { cleared_by: 'policy-maintainer', call: null }) };
}

/** The refusal that a deny becomes, with everything the caller needs to see why. */
export function denied(decision: Decision, decisionId: string): BrokerError {
  return new BrokerError('policy_denied', decision.reasons.map((reason) => reason.detail).join(' '), {
    reasons: decision.reasons,
    gates: decision.reasons.map(reasonGate),
    decision_id: decisionId,
    policy_hash: decision.policy_hash,
  });
}

/**
 * The refusal of an operation that cannot wait: what policy still wants has to be brought with the call. A missing
 * sign-in becomes a challenge that clients know how to answer.
 *
 * @see RFC 9470 section 3
 */
export function notYet(decision: Decision, decisionId: string, request: ChangeRequest | null): BrokerError {
  const signIn = decision.obligations.find((obligation) => obligation.kind === 'sign_in');
  const fields = {
    reasons: decision.reasons,
    decision_id: decisionId,
    policy_hash: decision.policy_hash,
    gates: decision.obligations.map((obligation) =>
      request === null
        ? {
            code: `${obligation.kind}_required`,
            detail: describe(obligation),
            cleared_by: 'caller',
            call: null,
          }
        : obligationGate(obligation, request),
    ),
  };
  if (signIn === undefined) {
    return new BrokerError(
      'policy_denied',
      'Policy wants more before this is allowed; see the gates.',
      fields,
    );
  }
  const age = signIn.max_age_s === null ? '' : `, max_age="${signIn.max_age_s}"`;
  return new BrokerError('sign_in_required', signInDetail(signIn), {
    ...fields,
    extra: { level: signIn.level, max_age_s: signIn.max_age_s },
    headers: {
      'WWW-Authenticate': `Bearer error="insufficient_user_authentication", error_description="a stronger or fresher sign-in is needed"${age}`,
    },
  });
}

function describe(obligation: Obligation): string {
  return obligation.kind === 'sign_in' ? signInDetail(obligation) : `Policy wants: ${obligation.kind}.`;
}
