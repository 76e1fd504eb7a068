import type { BrokerError, Gate } from '../errors.ts';
import { inWords } from '../moment.ts';
import type { Obligation } from '../policy/decision.ts';
import type { Opening, TimeObligation } from '../policy/next-opening.ts';
import type { Decision } from '../policy/policies.ts';
import type { Reason } from '../reason.ts';
import { Refused } from './refused.ts';
import { type JudgedDecision, toldReasons } from './strangers.ts';

/** Places, each a namespace and an environment; `*` is all of them, which only a binding to `*` covers. */
export type RoleScope = NonNullable<Gate['scope']>;

/** The request that a refusal is about: its path, and the digest that approvals must name. */
export interface AboutRequest {
  path: string;
  digest: string;
  /** Where a role must be held for the request. */
  scope: RoleScope;
  now_ms: number;
  /** When time first lets the request through after the last decision on it; null if unknown. */
  opening: (obligation: TimeObligation) => Opening | null;
}

/** How the caller is challenged to sign in. */
export interface Challenge {
  /** The scheme of the caller's token: a bound token is replaced by a bound token. */
  scheme: 'Bearer' | 'DPoP';
  /** The `acr` values of the caller's issuer that satisfy at least this level, strongest first. */
  acrValues: (level: number) => readonly string[];
}

/** What a refusal needs besides the decision. */
export interface RefusalContext {
  decision_id: string;
  /** The request that it is about, or null. */
  about: AboutRequest | null;
  challenge: Challenge;
}

/** An outstanding obligation of a request, as a gate. */
export function obligationGate(obligation: Obligation, about: AboutRequest): Gate {
  const { path, digest, scope } = about;
  switch (obligation.kind) {
    case 'approval':
      return {
        code: 'approval_required',
        detail: [approvalDetail(obligation), ...scopeSentence(scope)].join(' '),
        cleared_by: obligation.role,
        ...(scope.length === 0 ? {} : { scope: [...scope] }),
        call: { method: 'POST', path: `${path}/approve`, body: { digest } },
      };
    case 'ticket':
      return {
        code: 'ticket_required',
        detail: `A ticket that matches ${obligation.pattern} is required.`,
        cleared_by: 'proposer',
        call: { method: 'PATCH', path, body: { ticket: '…' } },
      };
    case 'window':
      return timeGate(obligation, about, {
        code: 'window_closed',
        detail:
          obligation.windows.length === 0
            ? 'The change waits for a time that a rule sets.'
            : `The change waits for an open change window: ${obligation.windows.join(', ')}.`,
      });
    case 'blackout':
      return timeGate(obligation, about, {
        code: 'blackout',
        detail: `The change waits for the end of a blackout: ${obligation.blackouts.join(', ')}.`,
      });
    case 'cosigned':
      return {
        code: 'cosigned_required',
        detail: `A quorum of witnesses must have cosigned the log in the last ${obligation.max_age_s} seconds. The broker asks them by itself, and decides again every minute; \`cosigned\` of GET /v1/log says what keeps each of them from it.`,
        cleared_by: 'witnesses',
        call: { method: 'GET', path: '/v1/log' },
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

function timeGate(
  obligation: TimeObligation,
  { opening, now_ms: nowMs }: AboutRequest,
  { code, detail }: Pick<Gate, 'code' | 'detail'>,
): Gate {
  const next = opening(obligation);
  const told = next === null ? '' : ` ${openingSentence(next, nowMs)}`;
  return {
    code,
    detail: `${detail}${told}`,
    cleared_by: 'time',
    call: null,
    opens_ms: next?.at_ms ?? null,
  };
}

function openingSentence({ at_ms, zone }: Opening, nowMs: number): string {
  return at_ms > nowMs ? `It opens on ${inWords(zone, at_ms)}.` : 'It is open now.';
}

function approvalDetail({ count, role, organization }: Extract<Obligation, { kind: 'approval' }>): string {
  const needed =
    count === 1 ? '1 more approval required from' : `${count} more approvals required, each from`;
  const article = /^[aeiou]/.test(role) ? 'an' : 'a';
  const organizationSuffix = organization === undefined ? '' : ` for ${organization}`;
  return `${needed} ${article} ${role}${organizationSuffix} who is not an author: an author asks somebody else.`;
}

/** The most places that a sentence lists. */
const MAX_LISTED = 5;

/** Which bindings would do: who holds a role in one place only often reads that they hold it. */
function scopeSentence(scope: RoleScope): string[] {
  if (scope.length === 0) return [];
  const places = scope.map(({ namespace, environment }) =>
    namespace === '*' && environment === '*'
      ? 'every namespace and environment, by a binding to everything'
      : `${namespace === '*' ? 'every namespace' : namespace} in ${environment === '*' ? 'every environment' : environment}`,
  );
  const others = places.length - MAX_LISTED;
  const listed = [...places.slice(0, MAX_LISTED), ...(others > 0 ? [`${others} more places`] : [])];
  return [`The role must be held for ${listed.join(' and ')}.`];
}

function signInDetail({ level, max_age_s }: Extract<Obligation, { kind: 'sign_in' }>): string {
  const age = max_age_s === null ? '' : `, at most ${max_age_s} seconds old`;
  return `A sign-in of level ${level} or higher${age} is required.`;
}

type Remedy = Pick<Gate, 'cleared_by' | 'call'>;

const otherPerson: Remedy = { cleared_by: 'another person with the role', call: null };
const openSession: Remedy = {
  cleared_by: 'caller',
  call: { method: 'POST', path: '/v1/break-glass', body: { incident: '…', reason: '…' } },
};
const proposeAgain: Remedy = { cleared_by: 'proposer', call: { method: 'POST', path: '/v1/requests' } };
const exchangeAgain: Remedy = { cleared_by: 'caller', call: { method: 'POST', path: '/oauth/token' } };

/** Who can clear a reason, for the codes of the broker and of the shipped policy. */
const CLEARED_BY: Readonly<Record<string, Remedy>> = {
  frozen: {
    cleared_by: 'flag-emergency-override',
    call: { method: 'POST', path: '/v1/requests', body: { kind: 'freeze.lift', freeze: '…', reason: '…' } },
  },
  self_approval: otherPerson,
  own_erasure: otherPerson,
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
  token_too_old: exchangeAgain,
  sign_in_too_old: { cleared_by: 'caller', call: null },
  agent_without_person: exchangeAgain,
  parked: {
    cleared_by:
      'the identity provider, flag-emergency-override, or its author, who signs in anew and rebases the request',
    call: null,
  },
};

/** A reason as a gate. */
export function reasonGate({ code, detail }: Reason): Gate {
  return { code, detail, ...(CLEARED_BY[code] ?? { cleared_by: 'policy-maintainer', call: null }) };
}

/** The refusal for a deny, with its reasons and gates. */
export function denied(decision: JudgedDecision, decisionId: string): Refused {
  const reasons = toldReasons(decision);
  return new Refused('policy_denied', sentences(reasons), {
    reasons,
    gates: reasons.map(reasonGate),
    decision_id: decisionId,
    policy_hash: decision.policy_hash,
  });
}

/**
 * The refusal of an operation that cannot wait: every obligation must be met by the call itself. A missing sign-in
 * becomes a standard challenge to the client.
 *
 * @see RFC 9470 section 3
 */
export function notYet(decision: Decision, { decision_id, about, challenge }: RefusalContext): Refused {
  const signIn = decision.obligations.find((obligation) => obligation.kind === 'sign_in');
  const fields = {
    reasons: decision.reasons,
    decision_id,
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
    return new Refused('policy_denied', 'The policy requires more; see `gates`.', fields);
  }
  const { level, max_age_s } = signIn;
  const acr_values = challenge.acrValues(level);
  return new Refused('sign_in_required', signInDetail(signIn), {
    ...fields,
    extra: { level, max_age_s, acr_values },
    headers: { 'WWW-Authenticate': challengeHeader(challenge.scheme, { acr_values, max_age_s }) },
  });
}

/** The characters that a quoted string of a header can hold; spaces separate the values. */
const ACR_IN_HEADER = /^[\x21\x23-\x5B\x5D-\x7E]+$/;

function challengeHeader(
  scheme: Challenge['scheme'],
  { acr_values, max_age_s }: { acr_values: readonly string[]; max_age_s: number | null },
): string {
  const acrValues = acr_values.filter((value) => ACR_IN_HEADER.test(value)).join(' ');
  return [
    `${scheme} error="insufficient_user_authentication"`,
    'error_description="a stronger or more recent sign-in is required"',
    ...(acrValues === '' ? [] : [`acr_values="${acrValues}"`]),
    ...(max_age_s === null ? [] : [`max_age="${max_age_s}"`]),
  ].join(', ');
}

function describe(obligation: Obligation): string {
  return obligation.kind === 'sign_in'
    ? signInDetail(obligation)
    : `The policy requires: ${obligation.kind}.`;
}

/** The reasons as running text. */
function sentences(reasons: readonly Reason[]): string {
  return reasons.map(({ detail }) => (/[.!?]$/.test(detail) ? detail : `${detail}.`)).join(' ');
}

/** The note on the record of an operation that was allowed but failed. */
export function notDone({ code, message }: BrokerError): Reason {
  return { code, detail: `Allowed but not done: ${message}`.slice(0, 2000) };
}
