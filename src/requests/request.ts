import type { Place, RequestKinds } from '../decide/control.ts';
import type { Base, Plan, RequestContent } from '../decide/plan.ts';
import { canonicalJson, digestOf } from '../json.ts';
import type { Obligation } from '../policy/decision.ts';
import type { InputRequest, Vote } from '../policy/input.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { findRequest, listVotes } from '../store/requests.ts';
import type { RequestsTable, VotesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { type Demand, demandsColumn, readDemands } from './demands.ts';
import { gateOf } from './gate.ts';
import { isOpen, type RequestState } from './states.ts';

/*
 * Requests: the workflow of design section 7, one file for each use case (`propose`, `edit`, `vote`, `withdraw`, `apply`,
 * `expire`), all of which end in `settle.ts`. The kinds of requests are in `kinds/`, one file each. `write-flags.ts` is
 * the one door for flag state. This folder imports domains; domains never import it.
 */

/** The latest decision on applying it. */
export interface Standing {
  effect: 'allow' | 'hold' | 'deny';
  reasons: readonly Reason[];
  obligations: readonly Obligation[];
  policy_hash: string;
  at_ms: number;
  /** What became worse, if that is why the request conflicted. */
  conflict?: string;
}

export interface ChangeRequest {
  id: string;
  kind: string;
  environment: string | null;
  state: RequestState;
  revision: number;
  digest: string;
  content: RequestContent;
  plan: Plan;
  proposer: Principal;
  /** The persons who wrote part of the current content. */
  authors: string[];
  created_ms: number;
  updated_ms: number;
  expires_ms: number;
  due_ms: number | null;
  /** What held it back at its last decision, if that was not an allow: `freeze:<id>`, `parked`. */
  held_by: readonly string[];
  /** The changes that were asked for; only those about the present content stand. */
  demands: readonly Demand[];
  standing: Standing;
  decision_id: string;
}

/** A person's newest vote on a request. */
export interface StoredVote extends Vote {
  person: string;
  verdict: 'approve' | 'reject';
  comment: string | null;
  /** When it became void because its person was disabled or revoked. */
  voided_ms: number | null;
  /** The record in which it was allowed; null for some older votes. */
  decision_id: string | null;
}

/** The humans behind a principal: all of them are authors of what it writes. */
export function humansBehind({ person, started_by = [] }: Principal): string[] {
  return [...new Set(person === null ? started_by : [person, ...started_by])];
}

/** Whether a vote covers the request's current content (design invariant 4) and is not void. */
export function counts(vote: Pick<StoredVote, 'digest' | 'voided_ms'>, request: ChangeRequest): boolean {
  return vote.digest === request.digest && vote.voided_ms === null;
}

/** The digest that an approval names: of the content and the versions that it is based on. */
export function requestDigest(content: RequestContent, bases: readonly Base[]): string {
  return digestOf({ content, bases });
}

/** The places that a caller must be able to read in order to read the request. */
export function placesOf({ kind, environment, plan }: ChangeRequest, kinds: RequestKinds): Place[] {
  const namespaces = kinds.of(kind).namespacesOf(plan);
  return (namespaces.length === 0 ? [null] : namespaces).map((namespace) => ({ namespace, environment }));
}

/** The request in the policy's input. */
export function toInputRequest(request: ChangeRequest): InputRequest {
  const { changes, object } = request.plan;
  const directions = changes.map((change) => change.facts.direction);
  const organizations = changes.flatMap(({ facts }) => [
    ...facts.organizations_added,
    ...facts.organizations_removed,
  ]);
  return {
    id: request.id,
    kind: request.kind,
    digest: request.digest,
    proposer: request.proposer,
    authors: request.authors,
    created_ms: request.created_ms,
    reason: request.content.reason,
    ticket: request.content.ticket,
    ...(request.content.start_ms === null ? {} : { start_ms: request.content.start_ms }),
    changes,
    object,
    facts: {
      direction: DANGER.find((direction) => directions.includes(direction)) ?? 'neutral',
      definition: changes.some((change) => change.facts.scope === 'definition'),
      organizations: [...new Set(organizations)].sort(),
      namespaces: [...new Set(changes.map(({ flag }) => flag.namespace))].sort(),
    },
  };
}

/** Directions, most dangerous first. */
const DANGER = ['on', 'widen', 'neutral', 'narrow', 'off'] as const;

/**
 * Whether a current plan matches the approved one: the same object, bases and facts. The documents that a change writes
 * are not compared: they follow from content and versions, and may contain the time of the write.
 */
export function isSamePlan(made: Plan, present: Plan): boolean {
  if (made === present) return true;
  const judged = ({ changes, ...rest }: Plan) =>
    canonicalJson({ ...rest, changes: changes.map(({ before: _, after: __, ...change }) => change) });
  return judged(made) === judged(present);
}

/** Whether no base of a plan has changed, for those bases that the current plan has too. */
export function isUnmoved({ bases }: Plan, present: Plan): boolean {
  const versions = new Map(present.bases.map(({ of, version }) => [of, version]));
  return bases.every(({ of, version }) => (versions.get(of) ?? version) === version);
}

/** Reads one request, or undefined. */
export async function loadRequest(db: Db, id: string): Promise<ChangeRequest | undefined> {
  const row = await findRequest(db, id);
  return row === undefined ? undefined : fromRow(row);
}

/** Reads the newest vote of each person on a request, for any digest. */
export async function loadVotes(db: Db, requestId: string): Promise<StoredVote[]> {
  return (await listVotes(db, requestId)).map(fromVoteRow);
}

/** Converts a request to its row. */
export function toRow(request: ChangeRequest): RequestsTable {
  return {
    ...request,
    content: JSON.stringify(request.content),
    plan: JSON.stringify(request.plan),
    proposer: JSON.stringify(request.proposer),
    proposer_id: request.proposer.id,
    authors: JSON.stringify(request.authors),
    standing: JSON.stringify(request.standing),
    held_by: heldByColumn(request),
    demands: demandsColumn(request.demands),
    gate: gateOf(request),
    owner: isOpen(request) ? (humansBehind(request.proposer)[0] ?? null) : null,
  };
}

/** Converts a row to its request. */
export function fromRow(row: RequestsTable): ChangeRequest {
  const { proposer_id: _, gate: __, owner: ___, ...rest } = row;
  return {
    ...rest,
    state: row.state as RequestState,
    content: JSON.parse(row.content) as RequestContent,
    plan: JSON.parse(row.plan) as Plan,
    proposer: JSON.parse(row.proposer) as Principal,
    authors: JSON.parse(row.authors) as string[],
    standing: JSON.parse(row.standing) as Standing,
    held_by: row.held_by === null ? [] : (JSON.parse(row.held_by) as string[]),
    demands: readDemands(row.demands),
  };
}

/** What holds a request back, as it is stored: null if nothing does. */
export function heldByColumn(request: Pick<ChangeRequest, 'state' | 'held_by'>): string | null {
  return isOpen(request) && request.held_by.length > 0 ? JSON.stringify(request.held_by) : null;
}

function fromVoteRow(row: VotesTable): StoredVote {
  return {
    principal: JSON.parse(row.principal) as Principal,
    digest: row.digest,
    at_ms: row.at_ms,
    person: row.person,
    verdict: row.verdict as StoredVote['verdict'],
    comment: row.comment,
    voided_ms: row.voided_ms,
    decision_id: row.decision_id,
  };
}
