import { setImmediate } from 'node:timers/promises';
import { EVERY_NAMESPACE } from '../decide/control.ts';
import { canonicalJson, digestOf } from '../json.ts';
import { type InputRequest, NO_EMERGENCY, type RequestObject, type Vote } from '../policy/input.ts';
import { isTimeObligation } from '../policy/next-opening.ts';
import type { Policy, Question } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import { RunAgain } from '../store/run-again.ts';

/** Who could make the next activation under a policy. */
export interface NextActivation {
  proposer: string;
  approvers: string[];
  /** The number of approvals that it takes, and not only asks for. */
  approvals: number;
}

const HOUR_MS = 60 * 60 * 1000;
/** The least time that people need to approve: a request that expires earlier is never applied. */
const TO_APPROVE_MS = 10 * 60 * 1000;
/** How far ahead a window, or the end of a blackout, is looked for. */
const HORIZON_HOURS = 14 * 24;

/** Persons with equal groups and claims are alike to a policy. This many are looked at: a proposer and three approvers. */
const MAX_ALIKE = 4;

/** What a search depends on, besides the policy. */
interface Search {
  object: RequestObject;
  now_ms: number;
}

/** The number of kept results. */
const MAX_FOUND = 64;

/** Results by what they depend on. */
const found = new Map<string, NextActivation | null>();

/**
 * Who could make the next activation under each policy, as of the beginning of this hour, for use in a write.
 *
 * @throws RunAgain if that was not searched yet: many persons take seconds, which no transaction is open for
 */
export function nextActivations(
  policies: readonly Policy[],
  persons: readonly Principal[],
  { object, now_ms }: Search,
): (NextActivation | null)[] {
  const search = { object, now_ms: Math.floor(now_ms / HOUR_MS) * HOUR_MS };
  const few = representatives(persons).map((person) => signedIn(person, search.now_ms));
  const of = digestOf([few, search]);
  const keys = policies.map(({ hash }) => `${hash} ${of}`);
  if (keys.some((key) => !found.has(key))) {
    throw new RunAgain(`the next activation of ${keys.join(' ')}`, async () => {
      for (const [at, policy] of policies.entries()) {
        keep(keys[at] ?? '', await findNextActivation(policy, few, search));
      }
    });
  }
  return keys.map((key) => found.get(key) ?? null);
}

function keep(key: string, result: NextActivation | null): void {
  found.set(key, result);
  const [oldest] = found.keys();
  if (oldest !== undefined && found.size > MAX_FOUND) found.delete(oldest);
}

/**
 * Searches known persons for one who could propose the next activation, and others who could approve it, within 14 days. A
 * policy without them locks everybody out: it could never be replaced by a request.
 *
 * @param persons as last seen; each is assumed to sign in afresh, and as strongly as possible
 * @returns null if there is no such proposer, or the approvers are missing
 */
export async function findNextActivation(
  policy: Policy,
  persons: readonly Principal[],
  { object, now_ms: nowMs }: Search,
): Promise<NextActivation | null> {
  const few = representatives(persons);
  for (const proposer of few) {
    await setImmediate();
    const request = requestOf(proposer, object, nowMs);
    const asked = policy.decide(questionOf('request.propose', proposer, request), nowMs);
    if (asked.effect === 'deny') continue;
    const approvers: Principal[] = [];
    for (const person of few) {
      // Everybody else is answered meanwhile.
      await setImmediate();
      if (person.person !== proposer.person && mayApprove(policy, person, request, nowMs)) {
        approvers.push(person);
      }
    }
    const about = { proposer, approvers, request };
    const atMs = findPossible(policy, about, nowMs);
    if (atMs === null) continue;
    const wanted = asked.obligations.reduce(
      (sum, obligation) => sum + (obligation.kind === 'approval' ? obligation.count : 0),
      0,
    );
    return {
      proposer: nameOf(proposer),
      approvers: approvers.map(nameOf),
      approvals: Math.min(wanted, fewest(policy, about, atMs)),
    };
  }
  return null;
}

/** Whether a person may approve a request, some time after its proposal, and see it. */
function mayApprove(policy: Policy, person: Principal, request: InputRequest, nowMs: number): boolean {
  const approver = signedIn(person, nowMs);
  const older = { ...request, created_ms: nowMs - TO_APPROVE_MS };
  const seen = { ...questionOf('request.read', approver, null), namespace: EVERY_NAMESPACE };
  return [questionOf('request.approve', approver, older), seen].every(
    (question) => policy.decide(question, nowMs).effect === 'allow',
  );
}

/** A request, and who approves it. */
interface Approved {
  proposer: Principal;
  approvers: readonly Principal[];
  request: InputRequest;
}

/** When the request could be applied with all these approvals: now, or once time lets it; null: not at all. */
function findPossible(policy: Policy, about: Approved, nowMs: number): number | null {
  for (let hour = 0; hour < HORIZON_HOURS; hour += 1) {
    const atMs = nowMs + hour * HOUR_MS;
    const left = obstaclesOf(policy, about, atMs);
    if (left === 'none') return atMs;
    if (left === 'lasting') return null;
  }
  return null;
}

/**
 * How few of these approvals are enough: a policy may ask for more than it takes. One alone is tried for each person, and
 * otherwise everybody is left out who is not needed.
 */
function fewest(policy: Policy, about: Approved, atMs: number): number {
  const suffices = (approvers: readonly Principal[]) =>
    obstaclesOf(policy, { ...about, approvers }, atMs) === 'none';
  if (suffices([])) return 0;
  if (about.approvers.some((person) => suffices([person]))) return 1;
  let needed = about.approvers;
  for (const person of about.approvers) {
    const others = needed.filter((other) => other !== person);
    if (suffices(others)) needed = others;
  }
  return needed.length;
}

/** What keeps the request from being applied at a time: nothing, what time clears, or something else. */
function obstaclesOf(
  policy: Policy,
  { proposer, approvers, request }: Approved,
  atMs: number,
): 'none' | 'time' | 'lasting' {
  const approvals = approvers.map(
    (person): Vote => ({ principal: signedIn(person, atMs), digest: request.digest, at_ms: atMs }),
  );
  const then = { ...request, proposer: signedIn(proposer, atMs), created_ms: atMs - TO_APPROVE_MS };
  const question = { ...questionOf('request.apply', signedIn(proposer, atMs), then), approvals };
  const { effect, obligations } = policy.decide(question, atMs);
  // A ticket can always be given.
  const left = obligations.filter(({ kind }) => kind !== 'ticket');
  if (effect !== 'deny' && left.length === 0) return 'none';
  return left.some(isTimeObligation) ? 'time' : 'lasting';
}

function representatives(persons: readonly Principal[]): Principal[] {
  const alike = Map.groupBy(persons, ({ issuer, groups, claims }) =>
    canonicalJson([issuer, groups.toSorted(), claims]),
  );
  return [...alike.values()].flatMap((group) => {
    const humans = new Map(group.map((person) => [person.person, person]));
    return [...humans.values()].slice(0, MAX_ALIKE);
  });
}

function signedIn(person: Principal, atMs: number): Principal {
  return {
    ...person,
    groups_seen_ms: atMs,
    auth: { ...person.auth, level: 9, auth_time_ms: atMs },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: atMs },
  };
}

function nameOf({ person, id }: Principal): string {
  return person ?? id;
}

function requestOf(proposer: Principal, object: RequestObject, nowMs: number): InputRequest {
  return {
    id: 'the next activation',
    kind: 'policy.activate',
    digest: 'sha256:0',
    proposer,
    authors: proposer.person === null ? [] : [proposer.person],
    created_ms: nowMs,
    reason: 'the next activation',
    ticket: null,
    changes: [],
    object,
    facts: { direction: 'neutral', definition: false, organizations: [], namespaces: [] },
  };
}

function questionOf(
  operation: 'request.propose' | 'request.approve' | 'request.apply' | 'request.read',
  principal: Principal,
  request: InputRequest | null,
): Question {
  return {
    operation,
    principal,
    environment: null,
    namespace: null,
    request,
    approvals: [],
    rejections: [],
    emergency: NO_EMERGENCY,
  };
}
