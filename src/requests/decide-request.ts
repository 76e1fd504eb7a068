import { challengeOf, correlationOf } from '../decide/authorize.ts';
import {
  type ControlDeps,
  type EffectRecord,
  inputEnvironment,
  knowsEnvironment,
  type Participant,
  type WriteContext,
} from '../decide/control.ts';
import { denied, notYet } from '../decide/refusals.ts';
import type { Refused } from '../decide/refused.ts';
import { appendDecision, decideFor, type JudgedDecision } from '../decide/strangers.ts';
import { loadEmergency } from '../emergency/state.ts';
import type { Entry, FlagMove, Passage, RecordedRequest } from '../log/entry.ts';
import type { Operation } from '../operations.ts';
import { mayWaitForWitnesses } from '../policy/cosigned.ts';
import type { Policy, Question } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { loadParts } from '../revocation/authored-parts.ts';
import { headFor } from '../store/batch.ts';
import { findPrincipals } from '../store/principals.ts';
import type { Db } from '../store/statement.ts';
import { HELD_BY_PARKING, heldByFreeze } from '../store/wakes.ts';
import { aboutRequest } from './gates.ts';
import { lastKnown } from './last-known.ts';
import { recentOf } from './recent.ts';
import { type ChangeRequest, counts, placesOf, type StoredVote, toInputRequest } from './request.ts';

/** A decision about a request, with the evidence for its record. */
export interface RequestDecision extends JudgedDecision {
  /** The votes that counted, by the records of their decisions. */
  votes: string[];
  /** The freezes that covered the request. */
  freezes: string[];
  /** What held it back: freezes and parking. Empty if it was allowed. @see ChangeRequest */
  held_by: string[];
}

/** What a question about a request depends on: the transaction of a write, or committed state. */
export type QuestionContext = Pick<WriteContext, 'policy' | 'now_ms' | 'revocations'> & {
  deps: Pick<ControlDeps, 'kinds'>;
  db: Db;
};

/** A question about a request, with the facts that a record keeps besides. */
export interface RequestQuestion {
  question: Question;
  /** The votes that count. */
  votes: StoredVote[];
  /** The freezes that cover the request. */
  freezes: string[];
  parked: boolean;
}

/** Builds the question about a request from all that the given state says. */
export async function questionAbout(
  { deps, db, now_ms, policy, revocations }: QuestionContext,
  about: { operation: Operation; principal: Principal; request: ChangeRequest; votes: readonly StoredVote[] },
): Promise<RequestQuestion> {
  const { operation, principal, request } = about;
  const parked = await isParked({ revocations, db }, request);
  const kind = deps.kinds.of(request.kind);
  const isSubject = await kind.aboutPerson?.(db, request.plan, policy);
  const input = {
    ...toInputRequest(request),
    ...(parked ? { parked } : {}),
    ...(isSubject && { subject_takes_part: [principal, ...authorsOf(request)].some(isSubject) }),
  };
  const votes = about.votes.filter((vote) => counts(vote, request) && isSubject?.(vote.principal) !== true);
  // An earlier approval counts only if its giver still has the role.
  const actors = [request.proposer, ...votes.map((vote) => vote.principal)];
  const persons = actors.filter(({ kind }) => kind === 'person').map(({ id }) => id);
  const seen = operation === 'request.apply' ? await findPrincipals(db, persons) : null;
  const asOfNow = (who: Principal, actedMs: number) =>
    seen === null ? who : lastKnown(db, who, { actedMs, seen });
  const toVotes = (verdict: StoredVote['verdict']) =>
    Promise.all(
      votes
        .filter((vote) => vote.verdict === verdict)
        .map(async ({ principal: voter, digest, at_ms }) => ({
          principal: await asOfNow(voter, at_ms),
          digest,
          at_ms,
        })),
    );
  const emergency = await loadEmergency(db, {
    changes: input.changes,
    isCoveredBy: (freeze) => kind.frozenBy?.(freeze, request.plan) === true,
    environment: request.environment,
    person: principal.person,
    policy,
    now_ms,
  });
  const environment = inputEnvironment(policy, request.environment);
  const decided = policy.deciding({ operation, environment, request: input });
  const question = {
    operation,
    principal,
    environment,
    namespace: null,
    request: { ...input, proposer: await asOfNow(request.proposer, request.created_ms) },
    approvals: await toVotes('approve'),
    rejections: await toVotes('reject'),
    ...(await recentOf(db, {
      minutes: decided.broker.recent_minutes,
      except: request.id,
      nowMs: now_ms,
    })),
    ...(decided.broker.asks_cosigned && mayWaitForWitnesses({ operation, request: input }, decided.broker)
      ? { log: await logOf(db) }
      : {}),
    emergency,
  };
  const freezes = emergency.freezes.map((freeze) => freeze.id);
  const approvals = acceptedApprovals(policy, question, now_ms);
  const isCounted = ({ verdict, principal: { id } }: StoredVote) =>
    verdict === 'reject' || approvals.some((vote) => vote.principal.id === id);
  return { question: { ...question, approvals }, votes: votes.filter(isCounted), freezes, parked };
}

/** The log as the decision finds it: under the head of the batch, for a write. */
async function logOf(db: Db): Promise<NonNullable<Question['log']>> {
  const { size, cosigned_size, cosigned_ms } = await headFor(db);
  const cosigned =
    cosigned_size === null || cosigned_ms === null ? null : { size: cosigned_size, at_ms: cosigned_ms };
  return { size, cosigned };
}

/** The proposer, and whoever wrote part of the content. */
function authorsOf({ proposer, authors }: ChangeRequest): Participant[] {
  return [proposer, ...authors.map((person) => ({ id: person, person }))];
}

/** The kinds whose approvals count only as long as the policy that is active now accepts them. */
const ACCEPTED_NOW = ['policy.activate', 'person.erase'];

/**
 * The second person of an activation is somebody whom the policy that is active now lets approve it. A policy that asks for
 * no approval itself could otherwise be satisfied, with the guardrail, by one that only a former policy accepted.
 */
function acceptedApprovals(policy: Policy, question: Question, nowMs: number): Question['approvals'] {
  const { operation, request, approvals } = question;
  if (operation !== 'request.apply' || !ACCEPTED_NOW.includes(request?.kind ?? '')) return approvals;
  // What is held anyway is held for the policy's own reasons.
  if (policy.decide(question, nowMs).effect !== 'allow') return approvals;
  return approvals.filter(
    ({ principal }) =>
      policy.decide({ ...question, operation: 'request.approve', principal }, nowMs).effect !== 'deny',
  );
}

/** Evaluates the active policy for a request, with a fresh clock and the emergency state that this write sees. */
export async function decideRequest(
  { deps, tx, now_ms, policy, revocations }: WriteContext,
  about: Parameters<typeof questionAbout>[1],
): Promise<RequestDecision> {
  const context = { deps, db: tx, now_ms, policy, revocations };
  const { question, votes, freezes, parked } = await questionAbout(context, about);
  const decision = decideFor(policy, question, now_ms);
  return {
    ...decision,
    votes: votes.flatMap((vote) => (vote.decision_id === null ? [] : [vote.decision_id])),
    freezes,
    held_by:
      decision.effect === 'allow' ? [] : [...freezes.map(heldByFreeze), ...(parked ? [HELD_BY_PARKING] : [])],
  };
}

async function isParked(
  { revocations, db }: Pick<QuestionContext, 'revocations' | 'db'>,
  request: ChangeRequest,
): Promise<boolean> {
  if (!(await revocations.parksAnybody(db))) return false;
  return revocations.isParked(db, { ...request, parts: await loadParts(db, request.id) });
}

/** Records a decision about a request. @returns the id of the decision whose record stands for it */
export async function record(
  writing: WriteContext,
  about: {
    operation: Operation;
    principal: Principal;
    decision: RequestDecision;
    request: ChangeRequest;
    from: ChangeRequest['state'] | null;
    /** The effects of applying it; absent if it was not applied. */
    done?: EffectRecord;
    note?: Reason;
    id?: string;
  },
): Promise<string> {
  const { deps, call, now_ms, policy, afterCommit } = writing;
  const { request, principal, decision } = about;
  const entry: Entry = {
    id: about.id ?? deps.newId(now_ms),
    at_ms: now_ms,
    operation: about.operation,
    principal,
    environment: request.environment,
    knows_environment: knowsEnvironment(policy, request.environment),
    decision,
    request: toRecordedRequest(request, about.from),
    votes: decision.votes,
    ...(about.done === undefined ? {} : { passed: passedBy(request, decision), ...about.done }),
    flags: about.done?.flags ?? unmoved(request),
    ...(about.note === undefined ? {} : { note: about.note }),
    correlation: correlationOf(call, principal, request.content.ticket),
  };
  afterCommit(() => {
    deps.events.decided(about.operation, about.decision.effect);
    // A held proposal counts as a use of the permission to propose.
    if (about.decision.effect !== 'deny') {
      deps.events.used({
        principal,
        operation: about.operation,
        environment: request.environment,
        namespaces: placesOf(request, deps.kinds).map((place) => place.namespace),
      });
    }
  });
  return appendDecision(writing, entry, about.decision);
}

/**
 * Records a decision that cannot wait, and turns anything but an allow into a refusal.
 *
 * @returns null if it is allowed
 */
export async function recordAndRefuse(
  writing: WriteContext,
  about: Parameters<typeof record>[1],
): Promise<Refused | null> {
  const decisionId = await record(writing, about);
  switch (about.decision.effect) {
    case 'allow':
      return null;
    case 'deny':
      return denied(about.decision, decisionId);
    case 'hold':
      return notYet(about.decision, {
        decision_id: decisionId,
        about: aboutRequest(about.request, { ...writing, kinds: writing.deps.kinds }),
        challenge: challengeOf(writing),
      });
  }
}

function toRecordedRequest(request: ChangeRequest, from: ChangeRequest['state'] | null): RecordedRequest {
  const { id, kind, digest, state, authors, content } = request;
  return { id, kind, object: objectOf(request), digest, from, to: state, reason: content.reason, authors };
}

function objectOf({ plan: { object } }: ChangeRequest): RecordedRequest['object'] {
  return object === null ? null : { type: object.type, id: String(object.id ?? '') };
}

/** The controls that the flags of an applied request bypassed. */
function passedBy({ plan }: ChangeRequest, { freezes }: RequestDecision): Passage {
  return { freezes, exception: plan.changes.some(({ facts }) => facts.exception_used) };
}

/** The flags of a request, at the versions that it is based on. */
function unmoved(request: ChangeRequest): FlagMove[] {
  return request.plan.bases.flatMap(({ of, version }) => {
    const state = /^state:(.+)@(.+)$/.exec(of);
    const [, flag, environment] = state ?? [];
    if (flag === undefined || environment === undefined) return [];
    return [{ flag, environment, version_before: version, version_after: version, digest: null }];
  });
}
