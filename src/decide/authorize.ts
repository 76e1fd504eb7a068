import { ciRunOf } from '../identity/credential.ts';
import type { Correlation, Entry, FlagMove, RecordedFreeze } from '../log/entry.ts';
import type { Operation } from '../operations.ts';
import { type InputRevocation, NO_EMERGENCY, type PolicyInput } from '../policy/input.ts';
import type { Decision, Policy, Question } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { type Call, inputEnvironment, knowsEnvironment, type Use, type WriteContext } from './control.ts';
import { type Challenge, denied, notYet } from './refusals.ts';
import type { Refused } from './refused.ts';
import { appendDecision, decideFor } from './strangers.ts';

/** Links a record to the call, the CI run and the ticket behind it. */
export function correlationOf(call: Call, principal: Principal, ticket: string | null): Correlation {
  const { origins, session = null } = call.credential ?? {};
  const agentRun = origins?.find(({ ci_run }) => ci_run !== undefined)?.ci_run;
  return {
    http_request_id: call.http_request_id,
    ...(call.trace_id === undefined ? {} : { trace_id: call.trace_id }),
    ticket,
    ci_run: ciRunOf(principal.claims) ?? agentRun ?? null,
    token: call.credential?.token_id ?? null,
    ...(origins && { origins: origins.map(({ token_id }) => token_id) }),
    ...(session === null ? {} : { session }),
  };
}

/** How the caller is challenged to sign in, if the policy requires it. */
export function challengeOf({ deps, call: { principal } }: WriteContext): Challenge {
  return {
    scheme: principal.token.sender_constrained ? 'DPoP' : 'Bearer',
    acrValues: (level) => deps.acrValuesFor(principal.issuer, level),
  };
}

/** What an operation without a request is about. */
export interface Intent {
  operation: Operation;
  environment?: string | null;
  namespace?: string | null;
  emergency?: Partial<PolicyInput['emergency']>;
  /** The revocation to add or to lift. */
  revocation?: InputRevocation;
  /** The freeze that is engaged if this is allowed. */
  freeze?: RecordedFreeze;
  /** The key that the log is handed over to if this is allowed. */
  log_key?: NonNullable<Entry['log_key']>;
  /** The flags that it is about, for the record. None of them moves. */
  flags?: readonly FlagMove[];
  /** The broker's own note on the outcome, for the record. */
  note?: Reason;
  /** It happens whatever the decision is, so it is recorded in full. */
  happened?: true;
}

/** A recorded decision. */
export interface Authorization {
  decision: Decision;
  decision_id: string;
}

/**
 * Decides an operation without a request. Every decision is recorded; those about strangers may be counted.
 *
 * @returns the decision if it is `allow`, otherwise the refusal
 */
export async function authorize(writing: WriteContext, intent: Intent): Promise<Authorization | Refused> {
  const { deps, call, now_ms, policy } = writing;
  const question = questionOf(policy, call.principal, intent);
  const decision =
    intent.happened === true ? policy.decide(question, now_ms) : decideFor(policy, question, now_ms);
  writing.afterCommit(() => deps.events.decided(intent.operation, decision.effect));
  const entry = {
    id: deps.newId(now_ms),
    at_ms: now_ms,
    operation: intent.operation,
    principal: call.principal,
    environment: intent.environment ?? null,
    knows_environment: knowsEnvironment(policy, intent.environment ?? null),
    decision,
    request: null,
    flags: intent.flags ?? [],
    ...(intent.freeze === undefined || decision.effect !== 'allow' ? {} : { freeze: intent.freeze }),
    ...(intent.log_key === undefined || decision.effect !== 'allow' ? {} : { log_key: intent.log_key }),
    ...(intent.note === undefined ? {} : { note: intent.note }),
    correlation: correlationOf(call, call.principal, null),
  };
  const decision_id = await appendDecision(writing, entry, decision);
  if (decision.effect === 'deny') return denied(decision, decision_id);
  if (decision.effect === 'hold') {
    return notYet(decision, { decision_id, about: null, challenge: challengeOf(writing) });
  }
  writing.afterCommit(() => deps.events.used(useOf(call.principal, intent)));
  return { decision, decision_id };
}

/**
 * Records that a caller surrenders a credential: a session ends, or a token is revoked by its holder. The policy is
 * evaluated so that the record is complete, but its answer keeps nobody signed in.
 */
export async function authorizeEnd(writing: WriteContext, intent: Intent): Promise<void> {
  const { policy, call, now_ms } = writing;
  const { effect } = policy.decide(questionOf(policy, call.principal, intent), now_ms);
  const detail = `Ended regardless of the policy decision; surrendering a credential needs no permission.${intent.note === undefined ? '' : ` ${intent.note.detail}`}`;
  const ended = { ...intent, note: { code: 'ended', detail }, happened: true } as const;
  await authorize(writing, effect === 'allow' ? intent : ended);
}

/** The use that is reported if the operation is allowed. */
export function useOf(principal: Principal, { operation, environment, namespace }: Intent): Use {
  return { principal, operation, environment: environment ?? null, namespaces: [namespace ?? null] };
}

/** The policy question for an operation without a request. */
export function questionOf(policy: Policy, principal: Principal, intent: Intent): Question {
  return {
    operation: intent.operation,
    principal,
    environment: inputEnvironment(policy, intent.environment ?? null),
    namespace: intent.namespace ?? null,
    request: null,
    approvals: [],
    rejections: [],
    emergency: { ...NO_EMERGENCY, ...intent.emergency },
    ...(intent.revocation === undefined ? {} : { revocation: intent.revocation }),
  };
}
