import { OPERATIONS, type OperationList, type OperationRow } from '../operations.ts';
import type { Reason } from '../reason.ts';
import { mayWaitForWitnesses } from './cosigned.ts';
import type { BrokerData } from './data.ts';
import type { PolicyResult } from './decision.ts';
import type { PolicyInput } from './input.ts';
import { SAFETY, SAFETY_V1, type SafetyRules } from './safety-rules.ts';

/** The other persons whom a kind of requests takes, and the role that the obligation names. */
interface OtherPersons {
  role: string;
  count: number;
  detail: string;
}

/** What takes two persons (design sections 5 and 8), and the role of the second one that the obligation names. */
const SECOND_PERSON: Readonly<Record<string, OtherPersons>> = {
  'freeze.lift': {
    role: 'flag-emergency-override',
    count: 1,
    detail: 'Lifting a freeze takes the approval of a second person.',
  },
  'policy.activate': {
    role: 'policy-maintainer',
    count: 1,
    detail: 'Activating a policy takes the approval of a second person.',
  },
};

/** What takes two others. That one of them is an auditor is for the policy to say: only it knows roles. */
const APPROVERS_OF_ERASURE: Readonly<Record<string, OtherPersons>> = {
  'person.erase': {
    role: 'flag-auditor',
    count: 2,
    detail: 'Erasing a person takes the approvals of two others, one of them an auditor.',
  },
};

/**
 * What no policy may allow. Custom Rego may be more permissive elsewhere, but these invariants of the design hold under
 * every bundle, because the broker overrules an answer that violates one.
 *
 * Pure functions of input and bundle, so that a replay gives the same answer. The list of operations says which guardrails
 * apply to an operation; only the rules for approvals and break-glass changes are defined here.
 */
export const applyGuardrails: Guardrails = withoutSubject(
  withoutWitnesses(withPersons(guardrailsWith(SAFETY), { ...SECOND_PERSON, ...APPROVERS_OF_ERASURE })),
);

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

/** From version 2 on, some kinds of requests take other persons under every policy. */
function withPersons(guardrails: Guardrails, takes: Readonly<Record<string, OtherPersons>>): Guardrails {
  return (input, result, data, operations) => {
    const guarded = guardrails(input, result, data, operations);
    const missing = guarded.effect === 'allow' ? missingPersons(input, data, takes) : null;
    return missing === null ? guarded : heldForPersons(guarded, missing);
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

/** What a request about a person is decided by: a rejection by them would be as much of a part as an approval. */
const TAKING_PART = ['propose', 'edit', 'schedule', 'apply', 'approve', 'reject'].map(
  (verb) => `request.${verb}`,
);

/** From version 3 on, whoever is to be erased takes no part in it. */
function withoutSubject(guardrails: Guardrails): Guardrails {
  return (input, result, data, operations) => {
    const guarded = guardrails(input, result, data, operations);
    if (guarded.effect === 'deny' || input.request?.subject_takes_part !== true) return guarded;
    if (!TAKING_PART.includes(input.operation)) return guarded;
    const detail = 'Whoever is to be erased takes no part in it. Ask two other persons.';
    return { ...guarded, effect: 'deny', obligations: [], ...overruled({ code: 'own_erasure', detail }) };
  };
}

function overruled(reason: Reason): { reasons: Reason[]; guardrail: string } {
  return { reasons: [reason], guardrail: reason.code };
}

/** An answer with the code of the guardrail that overruled the policy, if one did. */
export interface GuardedResult extends PolicyResult {
  guardrail?: string;
}

/** The version of the guardrails. It changes whenever the answer of one of them changes, including its text. */
export const GUARDRAILS_VERSION = 3;

/** The guardrails by version: a replay overrules exactly what was overruled then. */
export const GUARDRAILS: ReadonlyMap<number, Guardrails> = new Map([
  [1, guardrailsWith(SAFETY_V1)],
  [2, withPersons(guardrailsWith(SAFETY), SECOND_PERSON)],
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

/** The persons whom a request still lacks: so many who are no authors approve its present content. */
function missingPersons(
  { operation, request, approvals }: PolicyInput,
  { persons }: GuardrailData,
  takes: Readonly<Record<string, OtherPersons>>,
): OtherPersons | null {
  if (request === null || (operation !== 'request.propose' && operation !== 'request.apply')) return null;
  const wanted = takes[request.kind];
  if (wanted === undefined) return null;
  const humans = approvals.flatMap(({ principal }) =>
    principal.kind === 'person' && principal.person !== null && !isAuthor(principal, request, persons)
      ? [persons.get(principal.person) ?? principal.person]
      : [],
  );
  const count = wanted.count - new Set(humans).size;
  return count > 0 ? { ...wanted, count } : null;
}

/** The request waits for these persons. */
function heldForPersons(result: GuardedResult, { role, count, detail }: OtherPersons): GuardedResult {
  return {
    ...result,
    effect: 'hold',
    obligations: [{ kind: 'approval', role, count }],
    ...overruled({ code: 'two_persons', detail }),
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
