import { canonicalJson } from '../json.ts';
import { type InputRequest, NO_EMERGENCY, type RequestObject, type Vote } from '../policy/input.ts';
import type { Policy, Question } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';

/** Who could make the next activation under a policy. */
export interface NextActivation {
  proposer: string;
  approvers: string[];
  /** The number of approvals that it asks for. */
  approvals: number;
}

const HOUR_MS = 60 * 60 * 1000;
/** How far ahead a window is looked for. */
const HORIZON_HOURS = 14 * 24;

/** Persons with equal groups and claims are alike to a policy. This many are looked at: a proposer and three approvers. */
const MAX_ALIKE = 4;

/**
 * Searches known persons for one who could propose the next activation, and others who could approve it, within 14 days. A
 * policy without them locks everybody out: it could never be replaced by a request.
 *
 * @param persons as last seen; each is assumed to sign in afresh, and as strongly as possible
 * @returns null if there is no such proposer, or the approvers are missing
 */
export function findNextActivation(
  policy: Policy,
  persons: readonly Principal[],
  { object, now_ms: nowMs }: { object: RequestObject; now_ms: number },
): NextActivation | null {
  const few = representatives(persons);
  for (const proposer of few) {
    const request = requestOf(proposer, object, nowMs);
    const asked = policy.decide(questionOf('request.propose', proposer, request), nowMs);
    if (asked.effect === 'deny') continue;
    const approvers = few.filter(
      (person) =>
        person.person !== proposer.person &&
        policy.decide(questionOf('request.approve', signedIn(person, nowMs), request), nowMs).effect ===
          'allow',
    );
    if (!isPossible(policy, { proposer, approvers, request, nowMs })) continue;
    return {
      proposer: nameOf(proposer),
      approvers: approvers.map(nameOf),
      approvals: asked.obligations.reduce(
        (sum, obligation) => sum + (obligation.kind === 'approval' ? obligation.count : 0),
        0,
      ),
    };
  }
  return null;
}

/** Whether the request could be applied with all these approvals, now or when a window opens. */
function isPossible(
  policy: Policy,
  about: { proposer: Principal; approvers: readonly Principal[]; request: InputRequest; nowMs: number },
): boolean {
  const { proposer, approvers, request, nowMs } = about;
  for (let hour = 0; hour < HORIZON_HOURS; hour += 1) {
    const atMs = nowMs + hour * HOUR_MS;
    const approvals = approvers.map(
      (person): Vote => ({ principal: signedIn(person, atMs), digest: request.digest, at_ms: atMs }),
    );
    const then = { ...request, proposer: signedIn(proposer, atMs), created_ms: atMs };
    const question = { ...questionOf('request.apply', signedIn(proposer, atMs), then), approvals };
    const { effect, obligations } = policy.decide(question, atMs);
    // A ticket can always be given.
    const left = obligations.filter(({ kind }) => kind !== 'ticket');
    if (effect !== 'deny' && left.length === 0) return true;
    if (!left.some(({ kind }) => kind === 'window')) return false;
  }
  return false;
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
  return { ...person, groups_seen_ms: atMs, auth: { ...person.auth, level: 9, auth_time_ms: atMs } };
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
  operation: 'request.propose' | 'request.approve' | 'request.apply',
  principal: Principal,
  request: InputRequest,
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
