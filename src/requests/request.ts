import type { Base, Plan, RequestContent } from '../decide/plan.ts';
import { canonicalJson, digestOf } from '../json.ts';
import type { Obligation } from '../policy/decision.ts';
import type { InputRequest, Vote } from '../policy/input.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { findRequest, listVotes, OPEN_STATES } from '../store/requests.ts';
import type { RequestsTable, VotesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';

/*
 * Requests: the workflow of design section 7, a file for each thing that is done with a request (`propose`, `edit`, `vote`,
 * `withdraw`, `apply`, `expire`), all of which end in `settle.ts`. What a request can be about is in `kinds/`, a file each.
 * `write-flags.ts` is the one door for flag state. Domains are imported here, and never import this.
 */

/**
 * A change request as the use cases see it (design section 7).
 *
 *     propose ──> pending ──> ready ──> applied
 *                    │           └────> conflicted
 *                    └──> rejected, withdrawn, expired
 */
export const REQUEST_STATES = [
  ...OPEN_STATES,
  'applied',
  'rejected',
  'withdrawn',
  'expired',
  'conflicted',
] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/** The last answer to "may it be applied?". */
export interface Standing {
  effect: 'allow' | 'hold' | 'deny';
  reasons: readonly Reason[];
  obligations: readonly Obligation[];
  policy_hash: string;
  at_ms: number;
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
  /** Persons who wrote part of the present content. */
  authors: string[];
  created_ms: number;
  updated_ms: number;
  expires_ms: number;
  due_ms: number | null;
  standing: Standing;
  decision_id: string;
}

/** A person's newest vote on a request. */
export interface StoredVote extends Vote {
  person: string;
  verdict: 'approve' | 'reject';
  comment: string | null;
  /** When it stopped counting for good, because its person was disabled or revoked. */
  voided_ms: number | null;
  /** The record in which it was allowed; null for some votes that an older version of the broker stored. */
  decision_id: string | null;
}

/** Whether a vote is about the request's present content (design invariant 4), and its person was not revoked since. */
export function counts(vote: Pick<StoredVote, 'digest' | 'voided_ms'>, request: ChangeRequest): boolean {
  return vote.digest === request.digest && vote.voided_ms === null;
}

/** Whether a request can still change its state. No transition leaves the other states. */
export function isOpen({ state }: Pick<ChangeRequest, 'state'>): boolean {
  return (OPEN_STATES as readonly string[]).includes(state);
}

/** What an approval is about: the content, and the versions it is based on. */
export function requestDigest(content: RequestContent, bases: readonly Base[]): string {
  return digestOf({ content, bases });
}

/** The namespaces a request touches, sorted; none where it changes no flags. */
function namespacesOf({ plan }: ChangeRequest): string[] {
  return [...new Set(plan.changes.map((change) => change.flag.namespace))].sort();
}

/** The places that somebody must be able to read to read the request. */
export function placesOf(request: ChangeRequest): { namespace: string | null; environment: string | null }[] {
  const { environment } = request;
  const namespaces = namespacesOf(request);
  return (namespaces.length === 0 ? [null] : namespaces).map((namespace) => ({ namespace, environment }));
}

/** The request as the policy's input has it. */
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
    changes,
    object,
    facts: {
      direction: DANGER.find((direction) => directions.includes(direction)) ?? 'neutral',
      definition: changes.some((change) => change.facts.scope === 'definition'),
      organizations: [...new Set(organizations)].sort(),
      namespaces: namespacesOf(request),
    },
  };
}

/** Directions, most dangerous first. */
const DANGER = ['on', 'widen', 'neutral', 'narrow', 'off'] as const;

/**
 * Whether a plan of now is still the one that was approved: the same object and bases, whole, and the same facts. What a
 * change writes follows from content and versions, and may hold the moment at which it is written.
 */
export function isSamePlan(made: Plan, present: Plan): boolean {
  if (made === present) return true;
  const judged = ({ changes, ...rest }: Plan) =>
    canonicalJson({ ...rest, changes: changes.map(({ before: _, after: __, ...change }) => change) });
  return judged(made) === judged(present);
}

/** Whether nothing that a plan is based on has moved, as far as a plan of now is based on the same things. */
export function isUnmoved({ bases }: Plan, present: Plan): boolean {
  const versions = new Map(present.bases.map(({ of, version }) => [of, version]));
  return bases.every(({ of, version }) => (versions.get(of) ?? version) === version);
}

/** Reads one request, or undefined. */
export async function loadRequest(db: Db, id: string): Promise<ChangeRequest | undefined> {
  const row = await findRequest(db, id);
  return row === undefined ? undefined : fromRow(row);
}

/** Reads the newest vote of each person on a request, whatever digest it was about. */
export async function loadVotes(db: Db, requestId: string): Promise<StoredVote[]> {
  return (await listVotes(db, requestId)).map(fromVoteRow);
}

/** The request as its row. */
export function toRow(request: ChangeRequest): RequestsTable {
  return {
    ...request,
    content: JSON.stringify(request.content),
    plan: JSON.stringify(request.plan),
    proposer: JSON.stringify(request.proposer),
    proposer_id: request.proposer.id,
    authors: JSON.stringify(request.authors),
    standing: JSON.stringify(request.standing),
  };
}

/** The request of a row. */
export function fromRow(row: RequestsTable): ChangeRequest {
  const { proposer_id: _, ...rest } = row;
  return {
    ...rest,
    state: row.state as RequestState,
    content: JSON.parse(row.content) as RequestContent,
    plan: JSON.parse(row.plan) as Plan,
    proposer: JSON.parse(row.proposer) as Principal,
    authors: JSON.parse(row.authors) as string[],
    standing: JSON.parse(row.standing) as Standing,
  };
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
