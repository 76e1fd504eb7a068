import type { InputChange } from '../flags/change-facts.ts';
import { digestOf } from '../json.ts';
import type { Obligation, Reason } from '../policy/decision.ts';
import type { InputFreeze, InputRequest, Vote } from '../policy/input.ts';
import type { Principal } from '../principal.ts';
import { findRequest, listVotes } from '../store/requests.ts';
import type { RequestsTable, VotesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import type { RequestContent } from './content.ts';

/**
 * A change request as the use cases see it (design section 7).
 *
 *     propose ──> pending ──> ready ──> applied
 *                    │           └────> conflicted
 *                    └──> rejected, withdrawn, expired
 */
export type RequestState =
  | 'pending'
  | 'ready'
  | 'applied'
  | 'rejected'
  | 'withdrawn'
  | 'expired'
  | 'conflicted';

/** The version of one thing that a request is based on; 0 when it did not exist. */
export interface Base {
  /** `definition:<flag>`, `state:<flag>@<environment>`, `freeze:<id>` or `revocation:<id>`. */
  of: string;
  version: number;
}

/** What a request would do, as computed when its content was written. */
export interface Planned {
  changes: InputChange[];
  freeze: InputFreeze | null;
  /** The revocation to lift; only requests that lift one have it. */
  revocation?: LiftedRevocation;
  bases: Base[];
}

/** A revocation that a request lifts. */
export type LiftedRevocation = NonNullable<InputRequest['revocation']>;

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
  kind: RequestContent['kind'];
  environment: string | null;
  state: RequestState;
  revision: number;
  digest: string;
  content: RequestContent;
  planned: Planned;
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

/** A person's newest word on a request. */
export interface StoredVote extends Vote {
  person: string;
  verdict: 'approve' | 'reject';
  comment: string | null;
  /** When it stopped counting for good, because its person was disabled or revoked. */
  voided_ms: number | null;
  /** The record in which it was allowed; null for some from before records were named here. */
  decision_id: string | null;
}

/** Whether a word is about the request's present content (design invariant 4), and its person was not revoked since. */
export function counts(vote: Pick<StoredVote, 'digest' | 'voided_ms'>, request: ChangeRequest): boolean {
  return vote.digest === request.digest && vote.voided_ms === null;
}

/** Whether a request can still change its state. No transition leaves the other states. */
export function isOpen(request: ChangeRequest): boolean {
  return request.state === 'pending' || request.state === 'ready';
}

/** What an approval is about: the content, and the versions it is based on. */
export function requestDigest(content: RequestContent, bases: readonly Base[]): string {
  return digestOf({ content, bases });
}

/** The flags a request touches, each once. */
export function flagsOf(content: RequestContent): string[] {
  return content.kind === 'flag.change' ? [...new Set(content.changes.map((change) => change.flag))] : [];
}

/** The namespaces a request touches, sorted; none for a lift. */
function namespacesOf({ planned }: ChangeRequest): string[] {
  return [...new Set(planned.changes.map((change) => change.flag.namespace))].sort();
}

/** The places that somebody must be able to read to read the request. */
export function placesOf(request: ChangeRequest): { namespace: string | null; environment: string | null }[] {
  const { environment } = request;
  const namespaces = namespacesOf(request);
  return (namespaces.length === 0 ? [null] : namespaces).map((namespace) => ({ namespace, environment }));
}

/** The request as the policy's input has it. */
export function toInputRequest(request: ChangeRequest): InputRequest {
  const { changes, freeze, revocation } = request.planned;
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
    freeze,
    ...(revocation === undefined ? {} : { revocation }),
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

/** Reads one request, or undefined. */
export async function loadRequest(db: Db, id: string): Promise<ChangeRequest | undefined> {
  const row = await findRequest(db, id);
  return row === undefined ? undefined : fromRow(row);
}

/** Reads the newest word of each person on a request, whatever digest it was about. */
export async function loadVotes(db: Db, requestId: string): Promise<StoredVote[]> {
  return (await listVotes(db, requestId)).map(fromVoteRow);
}

/** The request as its row. */
export function toRow(request: ChangeRequest): RequestsTable {
  return {
    ...request,
    content: JSON.stringify(request.content),
    planned: JSON.stringify(request.planned),
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
    kind: row.kind as ChangeRequest['kind'],
    state: row.state as RequestState,
    content: JSON.parse(row.content) as RequestContent,
    planned: JSON.parse(row.planned) as Planned,
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
