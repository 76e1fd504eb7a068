import { OPERATIONS, type OperationList, type OperationRow } from '../operations.ts';
import type { Reason } from '../reason.ts';
import { mayWaitForWitnesses } from './cosigned.ts';
import type { BrokerData } from './data.ts';
import type { PolicyResult } from './decision.ts';
import type { PolicyInput } from './input.ts';
import { SAFETY, SAFETY_V1, type SafetyRules } from './safety-rules.ts';

/**
 * What no policy may allow. Custom Rego may be more permissive elsewhere, but these invariants of the design hold under
 * every bundle, because the broker overrules an answer that violates one.
 *
 * Pure functions of input and bundle, so that a replay gives the same answer. The list of operations says which guardrails
 * apply to an operation; only the rules for approvals and break-glass changes are defined here.
 */
export const applyGuardrails: Guardrails = withoutWitnesses(withTwoPersons(guardrailsWith(SAFETY)));

/** The guardrails of one version. */
export type Guardrails = (
  input: PolicyInput,
  result: PolicyResult,
  data: GuardrailData,
  operations?: OperationList,
) => GuardedResult;

/** The data of the bundle that guardrails read. */
export type GuardrailData = Pick<BrokerData, 'persons' | 'exposure_order'>;

function guardrailsWith(safety: SafetyRules): Guardrails {
  return (input, result, data, operations = OPERATIONS) => {
    if (result.effect === 'deny') return result;
    const operation = operations[input.operation];
    const reason =
      operation === undefined
        ? unknownOperation()
        : brokenInvariant(operation, { input, result, data, safety });
    if (reason === null) return result;
    return { ...result, effect: 'deny', reasons: [reason], obligations: [], guardrail: reason.code };
  };
}

/** From version 2 on, some kinds of requests take two persons under every policy. */
function withTwoPersons(guardrails: Guardrails): Guardrails {
  return (input, result, data, operations) => {
    const guarded = guardrails(input, result, data, operations);
    const second = guarded.effect === 'allow' ? missingSecond(input, data) : null;
    return second === null ? guarded : heldForSecond(guarded, second);
  };
}

/** From version 3 on, only changes of flags that make something less safe may wait for witnesses. */
function withoutWitnesses(guardrails: Guardrails): Guardrails {
  return (input, result, data, operations) => {
    const obligations = result.obligations.filter(({ kind }) => kind !== 'cosigned');
    const isDemanded = result.effect === 'hold' && obligations.length < result.obligations.length;
    if (!isDemanded || mayWaitForWitnesses(input, data)) return guardrails(input, result, data, operations);
    const waived =
      obligations.length > 0 ? { ...result, obligations } : { ...result, ...WAIVED, obligations: [] };
    const guarded = guardrails(input, waived, data, operations);
    return { ...guarded, guardrail: guarded.guardrail ?? WITNESSES_WAIVED };
  };
}

const WITNESSES_WAIVED = 'witnesses_waived';
/** Nothing else was missing. */
const WAIVED = {
  effect: 'allow',
  reasons: [
    { code: WITNESSES_WAIVED, detail: 'Only changes that make something less safe may wait for witnesses.' },
  ],
} as const satisfies Partial<PolicyResult>;

/** An answer with the code of the guardrail that overruled the policy, if one did. */
export interface GuardedResult extends PolicyResult {
  guardrail?: string;
}

/** The version of the guardrails. It changes whenever the answer of one of them changes, including its text. */
export const GUARDRAILS_VERSION = 3;

/** The guardrails by version: a replay overrules exactly what was overruled then. */
export const GUARDRAILS: ReadonlyMap<number, Guardrails> = new Map([
  [1, guardrailsWith(SAFETY_V1)],
  [2, withTwoPersons(guardrailsWith(SAFETY))],
  [GUARDRAILS_VERSION, applyGuardrails],
]);

/** What the guardrails of one decision depend on. */
interface Judged {
  input: PolicyInput;
  result: PolicyResult;
  data: GuardrailData;
  safety: SafetyRules;
}

function brokenInvariant(operation: OperationRow, judged: Judged): Reason | null {
  const { input, result, data } = judged;
  if (operation.never.includes(input.principal.kind)) return notAPerson();
  if (operation.when_parked === 'waits' && input.request?.parked === true) return parked();
  switch (input.operation) {
    case 'request.approve':
      return approvalFault(input, data);
    case 'breakglass.apply':
      return breakglassFault(judged);
    default:
      return writesFlags(operation, result) ? frozenFault(operation, judged) : null;
  }
}

/** An operation that only moves a request may pass under a freeze: the freeze is checked again when flags are written. */
function writesFlags({ changes }: OperationRow, { effect }: PolicyResult): boolean {
  return changes === 'flags' && effect === 'allow';
}

function unknownOperation(): Reason {
  return { code: 'unknown_operation', detail: 'The broker has no operation of this name.' };
}

function notAPerson(): Reason {
  return { code: 'not_a_person', detail: 'Only persons do this. A workload or an agent never approves.' };
}

/** Invariant 5: approvers are persons, and never authors of the request. */
function approvalFault({ principal, request }: PolicyInput, { persons }: GuardrailData): Reason | null {
  if (principal.kind !== 'person' || principal.person === null) return notAPerson();
  if (request === null) return { code: 'missing_fact', detail: 'There is no request to approve.' };
  if (isAuthor(principal, request, persons)) {
    return { code: 'self_approval', detail: 'Whoever wrote any part of a request cannot approve it.' };
  }
  return null;
}

/** Whether a principal wrote any part of a request, under any of their names. */
function isAuthor(
  { id, person }: Pick<PolicyInput['principal'], 'id' | 'person'>,
  { proposer, authors }: NonNullable<PolicyInput['request']>,
  persons: GuardrailData['persons'],
): boolean {
  const nameOf = (name: string | null) => (name === null ? null : (persons.get(name) ?? name));
  const { started_by = [] } = proposer;
  const names = [proposer.person, ...started_by, ...authors].map(nameOf);
  return id === proposer.id || names.includes(nameOf(person));
}

/** What takes two persons (design sections 5 and 8), and the role of the second one that the obligation names. */
const SECOND_PERSON: Readonly<Record<string, { role: string; detail: string }>> = {
  'freeze.lift': {
    role: 'flag-emergency-override',
    detail: 'Lifting a freeze takes the approval of a second person.',
  },
  'policy.activate': {
    role: 'policy-maintainer',
    detail: 'Activating a policy takes the approval of a second person.',
  },
};

/** The second person whom a request still lacks: somebody who is no author approved its present content. */
function missingSecond(
  { operation, request, approvals }: PolicyInput,
  { persons }: GuardrailData,
): { role: string; detail: string } | null {
  if (request === null || (operation !== 'request.propose' && operation !== 'request.apply')) return null;
  const second = SECOND_PERSON[request.kind];
  const isSecond = ({ principal }: PolicyInput['approvals'][number]) =>
    principal.kind === 'person' && principal.person !== null && !isAuthor(principal, request, persons);
  return second === undefined || approvals.some(isSecond) ? null : second;
}

/** The request waits for the second person. */
function heldForSecond(
  result: GuardedResult,
  { role, detail }: { role: string; detail: string },
): GuardedResult {
  const reason = { code: 'two_persons', detail };
  const obligation = { kind: 'approval', role, count: 1 } as const;
  return {
    ...result,
    effect: 'hold',
    reasons: [reason],
    obligations: [obligation],
    guardrail: reason.code,
  };
}

/** The requests of a disabled or revoked principal wait until they return. */
function parked(): Reason {
  return { code: 'parked', detail: 'Somebody who wrote this is disabled or revoked, so it waits.' };
}

/** Other kinds pass, because lifts must. */
function meetsFreezes(request: PolicyInput['request']): request is NonNullable<PolicyInput['request']> {
  return request?.kind === 'flag.change' || request?.kind === 'policy.activate';
}

/** Invariant 7: under a freeze only safer changes may pass, and only if the policy permits it. */
function frozenFault({ under_freeze }: OperationRow, { input, data, safety }: Judged): Reason | null {
  const { request, emergency } = input;
  if (under_freeze === 'passes' || !emergency.frozen || !meetsFreezes(request)) return null;
  if (
    under_freeze === 'safe_only' &&
    request.kind === 'flag.change' &&
    request.changes.every((change) => safety.passesFreeze(change, data))
  )
    return null;
  return { code: 'frozen', detail: safety.frozen(emergency.freezes.map(({ incident }) => incident)) };
}

/** Invariant 8: break-glass can only make things safer. */
function breakglassFault({ input: { request, emergency }, data, safety }: Judged): Reason | null {
  if (emergency.breakglass === null)
    return { code: 'breakglass_missing', detail: 'There is no open break-glass session.' };
  const changes = request?.changes ?? [];
  if (changes.length > 0 && changes.every((change) => safety.passesBreakglass(change, data))) return null;
  return { code: 'breakglass_unsafe', detail: safety.breakglassUnsafe };
}
