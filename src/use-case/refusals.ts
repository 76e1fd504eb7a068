import { BrokerError, type Gate } from '../errors.ts';
import type { Obligation, Reason } from '../policy/decision.ts';
import type { Decision } from '../policy/policies.ts';

/** The request that a refusal is about: where it is, and what its approvals must name. */
export interface AboutRequest {
  path: string;
  digest: string;
}

/** Something that policy still wants of a request, as a gate. */
export function obligationGate(obligation: Obligation, { path, digest }: AboutRequest): Gate {
  switch (obligation.kind) {
    case 'approval': {
      const whom = obligation.organization === undefined ? '' : ` for ${obligation.organization}`;
      return {
        code: 'approval_required',
        detail: `${obligation.count} more approval(s) by ${obligation.role}${whom}, by somebody who wrote no part of it.`,
        cleared_by: obligation.role,
        call: { method: 'POST', path: `${path}/approve`, body: { digest } },
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
  approval_not_wanted: otherPerson,
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

/** A reason as a gate. */
export function reasonGate({ code, detail }: Reason): Gate {
  return { code, detail, ...(CLEARED_BY[code] ?? { cleared_by: 'policy-maintainer', call: null }) };
}

/** The refusal that a deny becomes, with everything the caller needs to see why. */
export function denied(decision: Decision, decisionId: string): BrokerError {
  return new BrokerError('policy_denied', sentences(decision.reasons), {
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
export function notYet(decision: Decision, decisionId: string, about: AboutRequest | null): BrokerError {
  const signIn = decision.obligations.find((obligation) => obligation.kind === 'sign_in');
  const fields = {
    reasons: decision.reasons,
    decision_id: decisionId,
    policy_hash: decision.policy_hash,
    gates: decision.obligations.map((obligation) =>
      about === null
        ? {
            code: `${obligation.kind}_required`,
            detail: describe(obligation),
            cleared_by: 'caller',
            call: null,
          }
        : obligationGate(obligation, about),
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

/** The reasons as running text. */
function sentences(reasons: readonly Reason[]): string {
  return reasons.map(({ detail }) => (/[.!?]$/.test(detail) ? detail : `${detail}.`)).join(' ');
}
