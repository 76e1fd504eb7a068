import type { Clock } from '../clock.ts';
import type { BrokerError } from '../errors.ts';
import type { FlagDefinition, FlagState } from '../flags/model.ts';
import { type Credential, ciRunOf } from '../identity/credential.ts';
import { append, type Correlation } from '../log/append.ts';
import type { Operation } from '../operations.ts';
import type { Reason } from '../policy/decision.ts';
import { type InputRevocation, NO_EMERGENCY, type PolicyInput, type Principal } from '../policy/input.ts';
import type { Decision, Policies, Policy, Question } from '../policy/policies.ts';
import type { Revocations } from '../revocation/revocations.ts';
import type { Store } from '../store/database.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { AfterCommit } from '../store/writer.ts';
import { type Challenge, denied, notYet } from './refusals.ts';

/** What every use case of the control plane is built from. */
export interface ControlDeps {
  store: Store;
  policies: Policies<Db>;
  revocations: Revocations<Db>;
  clock: Clock;
  /** A new UUID of version 7 for that moment, so that ids sort by time. */
  newId: (nowMs: number) => string;
  /** The `acr` values of an issuer of persons that stand for at least this level, strongest first. */
  acrValuesFor: (issuer: string, level: number) => readonly string[];
  events: ControlEvents;
}

/** What the control plane tells others once it is durable. */
export interface ControlEvents {
  /** Flags of an environment changed; `version` is the environment's version after it. */
  flagsChanged(environment: string, version: number, flags: readonly ChangedFlag[]): void;
  /** Something was revoked, or a revocation was lifted. */
  revocationsChanged(): void;
  /** Signing keys were rotated, or one was revoked. */
  keysChanged(): void;
  /** A freeze was engaged or lifted. */
  freezesChanged(): void;
  /** Something was decided. */
  decided(operation: Operation, effect: string): void;
  /** Somebody used what they may: an operation was allowed, a plain read too. */
  used(use: Use): void;
}

/** One allowed operation, and where. */
export interface Use {
  principal: Principal;
  operation: Operation;
  environment: string | null;
  /** Null stands for an operation that names none. */
  namespaces: readonly (string | null)[];
}

/** A flag as it is served from now on; state and version are null where only its definition changed. */
export interface ChangedFlag {
  definition: FlagDefinition;
  state: FlagState | null;
  version: number | null;
}

/** Who calls, and what the call is correlated with. */
export interface Call {
  principal: Principal;
  /** What the caller showed; null for the broker's own principals. */
  credential: Credential | null;
  /** Id of the HTTP request, or null for the scheduler. */
  http_request_id: string | null;
}

/** One write as it runs inside the writing transaction: its transaction, its moment, the policy that it meets. */
export interface Writing {
  deps: ControlDeps;
  tx: Tx;
  call: Call;
  now_ms: number;
  policy: Policy;
  afterCommit: AfterCommit;
}

/** The environments that the active policy knows. */
export function environmentsOf(policy: Policy): string[] {
  return [...policy.broker.environments.keys()];
}

/** The environment as the policy's input has it; its kind comes from the bundle's data. */
export function inputEnvironment(policy: Policy, key: string | null): { key: string; kind: string } | null {
  if (key === null) return null;
  return { key, kind: policy.broker.environments.get(key)?.kind ?? 'unknown' };
}

/** What ties a record to the call, the CI run and the ticket behind it. */
export function correlationOf(call: Call, principal: Principal, ticket: string | null): Correlation {
  const { origins, session = null } = call.credential ?? {};
  const agentRun = origins?.find(({ ci_run }) => ci_run !== undefined)?.ci_run;
  return {
    http_request_id: call.http_request_id,
    ticket,
    ci_run: ciRunOf(principal.claims) ?? agentRun ?? null,
    token: call.credential?.token_id ?? null,
    ...(origins && { origins: origins.map(({ token_id }) => token_id) }),
    ...(session === null ? {} : { session }),
  };
}

/** How whoever calls is challenged to sign in, where policy wants that. */
export function challengeOf({ deps, call: { principal } }: Writing): Challenge {
  return {
    scheme: principal.token.sender_constrained ? 'DPoP' : 'Bearer',
    acrValues: (level) => deps.acrValuesFor(principal.issuer, level),
  };
}

/** What an operation without a request is about. */
export interface Subject {
  operation: Operation;
  environment?: string | null;
  namespace?: string | null;
  emergency?: Partial<PolicyInput['emergency']>;
  /** What is to be revoked, or to be lifted. */
  revocation?: InputRevocation;
  /** What the broker adds to the outcome in the record. */
  note?: Reason;
}

/** A recorded decision. */
export interface Authorized {
  decision: Decision;
  decision_id: string;
}

/**
 * Decides an operation without a request, and records the decision whatever it is.
 *
 * @returns the decision when it is `allow`, else the refusal
 */
export async function authorize(writing: Writing, subject: Subject): Promise<Authorized | BrokerError> {
  const { deps, call, now_ms, policy } = writing;
  const decision = policy.decide(questionOf(policy, call.principal, subject), now_ms);
  const decision_id = deps.newId(now_ms);
  writing.afterCommit(() => deps.events.decided(subject.operation, decision.effect));
  await append(writing.tx, {
    id: decision_id,
    at_ms: now_ms,
    operation: subject.operation,
    principal: call.principal,
    environment: subject.environment ?? null,
    decision,
    request: null,
    flags: [],
    ...(subject.note === undefined ? {} : { note: subject.note }),
    correlation: correlationOf(call, call.principal, null),
  });
  if (decision.effect === 'deny') return denied(decision, decision_id);
  if (decision.effect === 'hold') {
    return notYet(decision, { decision_id, about: null, challenge: challengeOf(writing) });
  }
  writing.afterCommit(() => deps.events.used(useOf(call.principal, subject)));
  return { decision, decision_id };
}

/**
 * Records that power is given up: a session that ends, a token that its holder gives back. Policy is asked, so that the
 * record is like any other, but nobody is kept signed in by its answer.
 */
export async function authorizeEnd(writing: Writing, subject: Subject): Promise<void> {
  const { policy, call, now_ms } = writing;
  const { effect } = policy.decide(questionOf(policy, call.principal, subject), now_ms);
  const detail = `It ended all the same: giving up power needs no grant.${subject.note === undefined ? '' : ` ${subject.note.detail}`}`;
  await authorize(writing, effect === 'allow' ? subject : { ...subject, note: { code: 'ended', detail } });
}

/** The use that is told of when the operation is allowed. */
export function useOf(principal: Principal, { operation, environment, namespace }: Subject): Use {
  return { principal, operation, environment: environment ?? null, namespaces: [namespace ?? null] };
}

/** What policy is asked about an operation without a request. */
export function questionOf(policy: Policy, principal: Principal, subject: Subject): Question {
  return {
    operation: subject.operation,
    principal,
    environment: inputEnvironment(policy, subject.environment ?? null),
    namespace: subject.namespace ?? null,
    request: null,
    approvals: [],
    rejections: [],
    emergency: { ...NO_EMERGENCY, ...subject.emergency },
    ...(subject.revocation === undefined ? {} : { revocation: subject.revocation }),
  };
}
