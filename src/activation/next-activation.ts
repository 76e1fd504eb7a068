import { EVERY_NAMESPACE } from '../decide/control.ts';
import { DAY_MS } from '../moment.ts';
import type { Obligation } from '../policy/decision.ts';
import type { GuardedResult } from '../policy/guardrails.ts';
import type { InputRequest, RequestObject, Vote } from '../policy/input.ts';
import {
  type Calendar,
  calendarOf,
  isTimeObligation,
  nextOpening,
  type TimeObligation,
} from '../policy/next-opening.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { TimedQuestion } from './checks/check.ts';
import { sampleQuestion, sampleRequest, unlimited } from './checks/samples.ts';

/** Who could make the next activation under a policy. */
export interface NextActivation {
  /** The persons who may propose it, by name; the first could have it approved. */
  proposers: string[];
  /** The persons who may approve it if that one proposes it. */
  approvers: string[];
  /** The number of approvals that it takes, and not only asks for. */
  approvals: number;
  /** What the policy asks for when it is proposed. */
  asked: readonly Obligation[];
  /** When it can be applied at the earliest, in epoch milliseconds; null: as soon as it is approved. */
  opens_ms: number | null;
}

/** Why nobody could make it. */
export interface NoNextActivation {
  why: 'nobody_proposes' | 'not_enough_approve' | 'closed';
  /** For `closed`: when time would let it through, beyond the 14 days; null if that cannot be told. */
  opens_ms: number | null;
}

/** Asks one policy. @returns the answers in the order of the questions */
export type AskPolicy = (questions: readonly TimedQuestion[]) => Promise<readonly GuardedResult[]>;

/** What is searched. */
export interface ActivationSearch {
  /** Persons who are alike to the policy, in groups. */
  groups: readonly (readonly Principal[])[];
  /** What the activation would be about. */
  object: RequestObject;
  now_ms: number;
}

const HOUR_MS = 60 * 60 * 1000;
/** The least time that people need to approve: a request that expires earlier is never applied. */
const TO_APPROVE_MS = 10 * 60 * 1000;
/** How far ahead a window, or the end of a blackout, is looked for. */
const HORIZON_MS = 14 * DAY_MS;
/** The times that are asked about at once, if the data does not tell when time lets it through. */
const HOURS_AT_ONCE = 24;

/** The most groups that are tried as proposers: a policy that accepts nobody of so many different ones is no way on. */
const MAX_PROPOSING = 8;
/** The most approvers that are tried together. */
const MAX_APPROVERS = 60;

/**
 * Searches known persons for one who could propose the next activation, and others who could approve it, within 14 days. A
 * policy without them locks everybody out: it could never be replaced by a request.
 *
 * Each person is assumed to sign in afresh, and as strongly as possible. With some hundred groups of persons, it asks some
 * hundred questions, and at most eight times as many if nobody is found.
 */
export async function findNextActivation(
  policy: Pick<Policy, 'broker'>,
  ask: AskPolicy,
  search: ActivationSearch,
): Promise<NextActivation | NoNextActivation> {
  const { now_ms } = search;
  const groups = search.groups.map((group) => onePerHuman(policy, group)).filter((group) => group.length > 0);
  const proposed = await ask(
    groups.map(([one]) => {
      const principal = unlimited(one as Principal, now_ms);
      const request = requestOf(principal, search);
      return { question: sampleQuestion('request.propose', principal, { request }), now_ms };
    }),
  );
  const proposing = groups.flatMap((group, at) => {
    const answer = proposed[at];
    return answer === undefined || answer.effect === 'deny' ? [] : [{ group, answer }];
  });
  if (proposing.length === 0) return { why: 'nobody_proposes', opens_ms: null };
  let closed: NoNextActivation | null = null;
  for (const { group, answer } of proposing.slice(0, MAX_PROPOSING)) {
    const [proposer] = group;
    if (proposer === undefined) continue;
    const approving = await approvingGroups(ask, { groups, proposer, search });
    // As many of each group as may be needed.
    const enough = wantedOf(answer.obligations) + 1;
    const approvers = approving.flatMap((each) => each.slice(0, enough)).slice(0, MAX_APPROVERS);
    const about = { proposer, approvers, search, age_ms: TO_APPROVE_MS };
    const opening = await findOpening(policy, ask, about);
    if ('why' in opening) {
      if (opening.why === 'closed') closed ??= opening;
      continue;
    }
    const others = proposing.flatMap((other) => other.group).filter((person) => person !== proposer);
    const wanted = wantedOf(answer.obligations);
    return {
      proposers: [proposer, ...others].map(nameOf),
      approvers: approving.flat().map(nameOf),
      approvals: Math.min(wanted, await fewest(ask, opening.about, opening.at_ms)),
      asked: answer.obligations,
      opens_ms: opening.at_ms === now_ms ? null : opening.at_ms,
    };
  }
  return closed ?? { why: 'not_enough_approve', opens_ms: null };
}

/** The number of approvals that obligations ask for. */
function wantedOf(obligations: readonly Obligation[]): number {
  return obligations.reduce(
    (sum, obligation) => sum + (obligation.kind === 'approval' ? obligation.count : 0),
    0,
  );
}

/** One account of each human. Persons who are alike may still be many. */
function onePerHuman(policy: Pick<Policy, 'broker'>, persons: readonly Principal[]): Principal[] {
  const humans = new Map<string, Principal>();
  for (const person of persons) {
    const human = person.person === null ? person.id : resolvePerson(policy, person.person);
    if (!humans.has(human)) humans.set(human, person);
  }
  return [...humans.values()];
}

/** The groups of persons who may approve a request some time after its proposal, and see it. */
async function approvingGroups(
  ask: AskPolicy,
  {
    groups,
    proposer,
    search,
  }: { groups: readonly Principal[][]; proposer: Principal; search: ActivationSearch },
): Promise<Principal[][]> {
  const { now_ms } = search;
  const others = groups
    .map((group) => group.filter((person) => person !== proposer))
    .filter((group) => group.length > 0);
  const request = { ...requestOf(proposer, search), created_ms: now_ms - TO_APPROVE_MS };
  const answers = await ask(
    others.flatMap(([one]) => {
      const approver = unlimited(one as Principal, now_ms);
      return [
        { question: sampleQuestion('request.approve', approver, { request }), now_ms },
        { question: sampleQuestion('request.read', approver, { namespace: EVERY_NAMESPACE }), now_ms },
      ];
    }),
  );
  return others.filter((_, at) =>
    [answers[2 * at], answers[2 * at + 1]].every((answer) => answer?.effect === 'allow'),
  );
}

/** A request, and who approves it. */
interface Approved {
  proposer: Principal;
  approvers: readonly Principal[];
  search: ActivationSearch;
  /** How long before it was proposed. */
  age_ms: number;
}

/** When the request could be applied with all these approvals: now, or once time lets it. */
async function findOpening(
  policy: Pick<Policy, 'broker'>,
  ask: AskPolicy,
  about: Approved,
): Promise<{ at_ms: number; about: Approved } | NoNextActivation> {
  const nowMs = about.search.now_ms;
  const [now] = await obstaclesOf(ask, about, [nowMs]);
  if (now === 'none') return { at_ms: nowMs, about };
  if (now === undefined || now === 'lasting') return { why: 'not_enough_approve', opens_ms: null };
  const calendar = mergedCalendar(now);
  const { not_before_ms: notBeforeMs = null } = calendar;
  if (notBeforeMs !== null && about.age_ms === TO_APPROVE_MS && notBeforeMs > nowMs) {
    // It has to wait since its proposal: an older one is looked for.
    const age_ms = notBeforeMs - nowMs + TO_APPROVE_MS;
    const older = await findOpening(policy, ask, { ...about, age_ms });
    return 'why' in older ? older : { ...older, at_ms: Math.max(older.at_ms, nowMs + age_ms) };
  }
  const opening = nextOpening(calendar, { data: policy.broker.calendar, nowMs });
  const opensMs = opening?.at_ms ?? null;
  if (opensMs !== null && opensMs <= nowMs + HORIZON_MS) {
    const [then] = await obstaclesOf(ask, about, [opensMs]);
    if (then === 'none') return { at_ms: opensMs, about };
  }
  // The policy may know more than its data tells.
  for (let hour = 1; hour * HOUR_MS <= HORIZON_MS; hour += HOURS_AT_ONCE) {
    const times = Array.from({ length: HOURS_AT_ONCE }, (_, more) => nowMs + (hour + more) * HOUR_MS);
    const found = await obstaclesOf(ask, about, times);
    const at = found.findIndex((left) => left === 'none' || left === 'lasting');
    if (found[at] === 'none') return { at_ms: times[at] ?? nowMs, about };
    if (at >= 0) return { why: 'not_enough_approve', opens_ms: null };
  }
  return { why: 'closed', opens_ms: opensMs };
}

/** Everything that time has to clear for several obligations. */
function mergedCalendar(waits: readonly TimeObligation[]): Calendar {
  const calendars = waits.map(calendarOf);
  const moments = calendars.flatMap(({ not_before_ms }) => not_before_ms ?? []);
  return {
    windows: calendars.flatMap(({ windows }) => windows),
    blackouts: calendars.flatMap(({ blackouts }) => blackouts),
    ...(moments.length === 0 ? {} : { not_before_ms: Math.max(...moments) }),
  };
}

/**
 * How few of these approvals are enough: a policy may ask for more than it takes. One alone is tried for each person, and
 * otherwise everybody is left out who is not needed.
 */
async function fewest(ask: AskPolicy, about: Approved, atMs: number): Promise<number> {
  const { approvers } = about;
  const suffices = async (...chosen: (readonly Principal[])[]) =>
    obstacles(await ask(chosen.map((some) => appliedBy({ ...about, approvers: some }, atMs)))).map(
      (left) => left === 'none',
    );
  const alone = await suffices([], ...approvers.map((person) => [person]));
  if (alone[0] === true) return 0;
  if (alone.includes(true)) return 1;
  let needed = approvers;
  for (const person of approvers) {
    const others = needed.filter((other) => other !== person);
    const [isEnough] = await suffices(others);
    if (isEnough === true) needed = others;
  }
  return needed.length;
}

/** What keeps the request from being applied at each time: nothing, what time clears, or something else. */
async function obstaclesOf(ask: AskPolicy, about: Approved, times: readonly number[]) {
  return obstacles(await ask(times.map((atMs) => appliedBy(about, atMs))));
}

function obstacles(answers: readonly GuardedResult[]): ('none' | 'lasting' | TimeObligation[])[] {
  return answers.map(({ effect, obligations }) => {
    // A ticket can always be given.
    const left = obligations.filter(({ kind }) => kind !== 'ticket');
    if (effect !== 'deny' && left.length === 0) return 'none';
    const waits = left.filter(isTimeObligation);
    return waits.length === 0 ? 'lasting' : waits;
  });
}

/** The question whether the request may be applied at a time, with these approvals. */
function appliedBy({ proposer, approvers, search, age_ms }: Approved, atMs: number): TimedQuestion {
  const caller = unlimited(proposer, atMs);
  const request = { ...requestOf(caller, search), created_ms: atMs - age_ms };
  const approvals = approvers.map(
    (person): Vote => ({ principal: unlimited(person, atMs), digest: request.digest, at_ms: atMs }),
  );
  return { question: sampleQuestion('request.apply', caller, { request, approvals }), now_ms: atMs };
}

function requestOf(proposer: Principal, { object, now_ms }: ActivationSearch): InputRequest {
  return { ...sampleRequest({ kind: 'policy.activate', object }, proposer, now_ms), created_ms: now_ms };
}

function nameOf({ person, id }: Principal): string {
  return person ?? id;
}
