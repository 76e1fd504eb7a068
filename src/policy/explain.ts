import { canonicalJson } from '../json.ts';
import type { Principal } from '../principal.ts';
import type { BindingName } from './access.ts';
import {
  approvalKey,
  approvingBindings,
  type BindingSource,
  findCounting,
  MAX_TRIED,
  STRONGEST,
} from './approving.ts';
import type { Obligation } from './decision.ts';
import type { GuardedResult } from './guardrails.ts';
import type { PolicyInput } from './input.ts';
import {
  type Calendar,
  calendarOf,
  isTimeObligation,
  nextOpening,
  type TimeObligation,
} from './next-opening.ts';
import { resolvePerson } from './persons.ts';
import { possibleOpenings, type WindowOpening } from './possible-openings.ts';
import {
  type AskedQuestion,
  approvalsIn,
  ask,
  askedBy,
  atTime,
  countMissing,
  isRemovable,
  type MissingApproval,
  proposedAt,
  signedIn,
  withApprovals,
  without,
  withSignIn,
  withTicket,
} from './variations.ts';

/*
 * Explanations of a policy's answer: which bindings granted, what would meet each obligation, who could, and when. Each is
 * found by asking the policy itself about a variation of the input, and never by reading its Rego.
 */

/** The most openings of windows that are tried. */
const MAX_OPENINGS = 100;
/** Tickets of the usual forms. A policy with another pattern is not tried. */
const SAMPLE_TICKETS = ['ABC-123', 'PAY-1', 'INC-1', 'CHG0000001', '#123', '123', 'abc-123'];

/** Reasons of denials without any grant, by the shipped policy and by the broker. */
const WITHOUT_GRANT: ReadonlySet<string> = new Set([
  'unknown_principal',
  'role_missing',
  'unknown_operation',
  'default_deny',
  'not_author',
]);

/** One obligation, and what would become of the decision if it were met. */
export interface ExplainedObligation {
  obligation: Obligation;
  /** The effect if this were met and nothing else; null if that could not be tried. */
  effect_if_met: GuardedResult['effect'] | null;
  /** Who could give a missing approval; null if it is no approval, or it may not be told. */
  who: Principal[] | null;
  /** The bindings by which it would count, with or without holders; null as `who`. */
  bindings: BindingSource[] | null;
  /** When time lets it through; null if it is neither window nor blackout, or that cannot be found. */
  opens: WindowOpening | null;
}

/** The decision if everything were met. */
export interface AllMet {
  effect: GuardedResult['effect'];
  reasons: GuardedResult['reasons'];
  /** What nobody known could meet. */
  obligations: readonly Obligation[];
  /** The time that this is about: when the window opens. */
  at_ms: number;
}

/**
 * The bindings by which a caller is granted what they ask: those of which one alone is enough, or else those without which
 * the answer would be another.
 *
 * @returns null if the bundle does not tell who holds what
 */
export async function grantingBindings(asked: AskedQuestion): Promise<BindingName[] | null> {
  const { policy, document } = asked;
  const { principal } = document;
  const answer = policy.access([principal]);
  if (answer === null) return null;
  const held = [...new Map(answer.grants.map(({ binding }) => [canonicalJson(binding), binding])).values()];
  const removable = held.filter(isRemovable);
  const answerWithout = async (bindings: readonly BindingName[]) => {
    const { effect, reasons, obligations } = await ask(asked, varied(document, without(principal, bindings)));
    return { effect, reasons, key: canonicalJson({ effect, reasons, obligations }) };
  };
  const all = await answerWithout([]);
  const none = await answerWithout(removable);
  // Only some denials are of what was granted before.
  if (all.effect === 'deny' && all.reasons.some(({ code }) => WITHOUT_GRANT.has(code))) return [];
  if (all.key === none.key)
    return all.effect === 'deny' ? [] : held.filter((binding) => !isRemovable(binding));
  const enough: BindingName[] = [];
  const needed: BindingName[] = [];
  for (const binding of removable) {
    const others = removable.filter((other) => !isSameSource(other, binding));
    if ((await answerWithout(others)).key === all.key) enough.push(binding);
    const same = removable.filter((other) => isSameSource(other, binding));
    if ((await answerWithout(same)).key !== all.key) needed.push(binding);
  }
  return enough.length > 0 ? enough : needed;
}

/** The document of the same principal with fewer groups or claims, wherever the document has it. */
function varied(document: PolicyInput, principal: Principal): PolicyInput {
  const { request } = document;
  const proposer =
    request?.proposer.id === principal.id ? { ...request.proposer, ...pickSources(principal) } : null;
  return {
    ...document,
    principal,
    request: request === null || proposer === null ? request : { ...request, proposer },
  };
}

function pickSources({ groups, claims }: Principal): Pick<Principal, 'groups' | 'claims'> {
  return { groups, claims };
}

function isSameSource(one: BindingName, other: BindingName): boolean {
  return one.by === other.by && one.key === other.key;
}

/**
 * What would meet each obligation of a hold.
 *
 * @param known the principals who may be told of; null: nobody may, so missing approvals are not tried
 */
export async function explainHold(
  asked: AskedQuestion,
  obligations: readonly Obligation[],
  known: readonly Principal[] | null,
): Promise<{ obligations: ExplainedObligation[]; all_met: AllMet | null }> {
  const approvers = known === null ? null : await findApprovers(asked, obligations, known);
  const sources = known === null ? null : await approvingBindings(asked, obligations);
  const explained: ExplainedObligation[] = [];
  let met: PolicyInput | null = asked.document;
  for (const obligation of obligations) {
    const who = obligation.kind === 'approval' ? (approvers?.get(approvalKey(obligation)) ?? null) : null;
    const bindings = obligation.kind === 'approval' ? (sources?.get(approvalKey(obligation)) ?? null) : null;
    const opening = isTimeObligation(obligation) ? await openingOf(asked, obligation) : null;
    const one = await meet(asked, asked.document, obligation, { who, opening });
    explained.push({
      obligation,
      effect_if_met: one === null ? null : (await ask(asked, one)).effect,
      who,
      bindings,
      opens: opening,
    });
    if (met !== null && !isTimeObligation(obligation))
      met = await meet(asked, met, obligation, { who, opening });
  }
  return { obligations: explained, all_met: met === null ? null : await whenAllMet(asked, met, explained) };
}

/** The document in which one obligation is met; null if that cannot be tried. */
async function meet(
  asked: AskedQuestion,
  document: PolicyInput,
  obligation: Obligation,
  { who, opening }: { who: readonly Principal[] | null; opening: WindowOpening | null },
): Promise<PolicyInput | null> {
  switch (obligation.kind) {
    case 'approval':
      return who === null ? null : addApprovals(asked, document, obligation, who);
    case 'ticket':
      return addTicket(asked, document);
    case 'window':
    case 'blackout':
      return opening === null ? null : atTime({ ...asked, document }, opening.opens_ms);
    case 'cosigned':
      return withCosigned(document);
    case 'sign_in':
      // That of approvers is part of their approvals.
      return obligation.who === 'caller' ? withSignIn(document, obligation.level) : document;
  }
}

/** As if the witnesses had cosigned the log just now. */
function withCosigned(document: PolicyInput): PolicyInput {
  const { log = { size: 0, cosigned: null }, clock } = document;
  return { ...document, log: { ...log, cosigned: { size: log.size, at_ms: clock.now_ms } } };
}

/** Adds approvals until this one is no longer missing, or nobody is left. */
async function addApprovals(
  asked: AskedQuestion,
  document: PolicyInput,
  missing: MissingApproval,
  who: readonly Principal[],
): Promise<PolicyInput> {
  const chosen: Principal[] = [];
  let left = countMissing((await ask(asked, document)).obligations, missing);
  for (const approver of who) {
    if (left === 0) break;
    const { obligations } = await ask(asked, withApprovals(document, [...chosen, approver]));
    const then = countMissing(obligations, missing);
    if (then >= left) continue;
    left = then;
    chosen.push(approver);
  }
  return withApprovals(document, chosen);
}

async function addTicket(asked: AskedQuestion, document: PolicyInput): Promise<PolicyInput | null> {
  for (const ticket of SAMPLE_TICKETS) {
    const varied = withTicket(document, ticket);
    const { effect, obligations } = await ask(asked, varied);
    if (effect !== 'deny' && obligations.every(({ kind }) => kind !== 'ticket')) return varied;
  }
  return null;
}

async function whenAllMet(
  asked: AskedQuestion,
  document: PolicyInput,
  explained: readonly ExplainedObligation[],
): Promise<AllMet> {
  const waits = explained.flatMap(({ obligation }) => (isTimeObligation(obligation) ? [obligation] : []));
  const question = { ...asked, document };
  const opening = await openingOf(question, ...waits);
  const final = opening === null ? document : atTime(question, opening.opens_ms);
  const { effect, reasons, obligations } = await ask(asked, final);
  return { effect, reasons, obligations, at_ms: final.clock.now_ms };
}

/**
 * The first time at which the policy itself lets these obligations go; null if none is found.
 *
 * The opening that the broker computes from the data comes first. A policy that knows more than the data tells is asked
 * about the starts of its windows in the next two weeks.
 */
export async function openingOf(
  asked: AskedQuestion,
  ...waits: readonly TimeObligation[]
): Promise<WindowOpening | null> {
  if (waits.length === 0) return null;
  const { policy, document } = asked;
  const nowMs = document.clock.now_ms;
  const calendars = waits.map(calendarOf);
  const calendar = {
    windows: calendars.flatMap(({ windows }) => windows),
    blackouts: calendars.flatMap(({ blackouts }) => blackouts),
    ...latest(calendars),
  };
  const names = waits.flatMap((wait) => (wait.kind === 'window' ? wait.windows : []));
  const next = nextOpening(calendar, { data: policy.broker.calendar, nowMs });
  const computed = next === null ? [] : [{ window: next.window, zone: next.zone, opens_ms: next.at_ms }];
  const possible = [...computed, ...possibleOpenings(policy.data, names, nowMs).slice(0, MAX_OPENINGS)];
  for (const opening of possible) {
    // A rule may count from the proposal; and if it expires before, a later proposal is what would pass.
    for (const then of [atTime(asked, opening.opens_ms), proposedAt(asked, opening.opens_ms)]) {
      const { effect, obligations } = await ask(asked, then);
      const isLeft = obligations.some((left) => waits.some((wait) => isSameWait(left, wait)));
      if (effect !== 'deny' && !isLeft) return opening;
    }
  }
  return null;
}

function latest(calendars: readonly Calendar[]): Pick<Calendar, 'not_before_ms'> {
  const moments = calendars.flatMap(({ not_before_ms }) => not_before_ms ?? []);
  return moments.length === 0 ? {} : { not_before_ms: Math.max(...moments) };
}

/** Whether an obligation still waits for what another one did. */
function isSameWait(left: Obligation, wait: TimeObligation): boolean {
  if (left.kind === 'window' && wait.kind === 'window') {
    // A wait for a moment alone names no window.
    if (left.windows.length === 0 || wait.windows.length === 0)
      return left.windows.length === wait.windows.length;
    return left.windows.every((name) => wait.windows.includes(name));
  }
  return left.kind === 'blackout' && wait.kind === 'blackout';
}

/** Who could give each missing approval: may approve this request, and their approval would count. */
async function findApprovers(
  asked: AskedQuestion,
  obligations: readonly Obligation[],
  known: readonly Principal[],
): Promise<Map<string, Principal[]>> {
  const { policy } = asked;
  const isMissing = approvalsIn(obligations).length > 0;
  const candidates = isMissing ? onePerHuman(policy, withGrant(policy, known)) : [];
  return findCounting(asked, obligations, candidates);
}

/** The known persons to whom the same question would not be denied. */
export async function findOthers(asked: AskedQuestion, known: readonly Principal[]): Promise<Principal[]> {
  const { document, policy } = asked;
  const others: Principal[] = [];
  for (const person of onePerHuman(policy, known).slice(0, MAX_TRIED)) {
    if (person.id === document.principal.id) continue;
    const asker = signedIn(person, STRONGEST, document.clock.now_ms);
    if ((await ask(asked, askedBy(document, asker))).effect !== 'deny') others.push(person);
  }
  return others;
}

/** Those who hold anything anywhere; all, if the bundle does not tell. What approves depends on the kind of request. */
function withGrant(policy: Policy, known: readonly Principal[]): Principal[] {
  const persons = known.filter(({ kind }) => kind === 'person');
  const answer = policy.access(persons);
  if (answer === null) return persons;
  const holders = new Set(answer.grants.map(({ principal }) => principal));
  return persons.filter(({ id }) => holders.has(id));
}

type Policy = AskedQuestion['policy'];

/** One account of each human. */
function onePerHuman(policy: Policy, known: readonly Principal[]): Principal[] {
  const humans = new Map<string, Principal>();
  for (const principal of known) {
    if (principal.kind !== 'person') continue;
    const human = principal.person === null ? principal.id : resolvePerson(policy, principal.person);
    if (!humans.has(human)) humans.set(human, principal);
  }
  return [...humans.values()];
}
