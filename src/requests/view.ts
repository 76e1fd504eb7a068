import type { RequestKinds } from '../decide/control.ts';
import type { Plan } from '../decide/plan.ts';
import type { Gate } from '../errors.ts';
import { requestGates } from './gates.ts';
import { type ChangeRequest, counts, type StoredVote } from './request.ts';

/** A change request in an answer. All times are epoch milliseconds. */
export interface RequestView {
  id: string;
  kind: ChangeRequest['kind'];
  environment: string | null;
  state: ChangeRequest['state'];
  revision: number;
  /** The digest that an approval must name. */
  digest: string;
  reason: string;
  ticket: string | null;
  apply: 'auto' | 'manual';
  start_ms: number | null;
  /** A short summary of what applying it does; null for a change of flags, whose changes describe it. */
  summary: string | null;
  changes: Plan['changes'];
  /** The object of the request, by `type`; null for a change of flags. */
  object: Plan['object'];
  bases: Plan['bases'];
  proposer: { id: string; kind: string; person: string | null };
  authors: string[];
  approvals: VoteView[];
  rejections: VoteView[];
  created_ms: number;
  updated_ms: number;
  expires_ms: number;
  /** The latest decision on applying it, and the policy that made it. */
  standing: ChangeRequest['standing'];
  decision_id: string;
  gates: Gate[];
}

/** A vote in an answer; `counts` is false if it covers other content or is void. */
interface VoteView {
  person: string;
  principal: string;
  digest: string;
  counts: boolean;
  comment: string | null;
  at_ms: number;
  /** When it became void because its person was disabled or revoked; otherwise null. */
  voided_ms: number | null;
}

/** Converts a request to its answer. */
export function toView(
  request: ChangeRequest,
  { votes, now_ms: nowMs, kinds }: { votes: readonly StoredVote[]; now_ms: number; kinds: RequestKinds },
): RequestView {
  const { content, plan, proposer } = request;
  const view = (verdict: StoredVote['verdict']) =>
    votes.filter((vote) => vote.verdict === verdict).map((vote) => toVoteView(vote, request));
  return {
    id: request.id,
    kind: request.kind,
    environment: request.environment,
    state: request.state,
    revision: request.revision,
    digest: request.digest,
    reason: content.reason,
    ticket: content.ticket,
    apply: content.apply,
    start_ms: content.start_ms,
    summary: kinds.of(request.kind).sentence(plan),
    changes: plan.changes,
    object: plan.object,
    bases: plan.bases,
    proposer: { id: proposer.id, kind: proposer.kind, person: proposer.person },
    authors: request.authors,
    approvals: view('approve'),
    rejections: view('reject'),
    created_ms: request.created_ms,
    updated_ms: request.updated_ms,
    expires_ms: request.expires_ms,
    standing: request.standing,
    decision_id: request.decision_id,
    gates: requestGates(request, { now_ms: nowMs, kinds }),
  };
}

function toVoteView(vote: StoredVote, request: ChangeRequest): VoteView {
  const { person, principal, comment, at_ms, voided_ms } = vote;
  return {
    person,
    principal: principal.id,
    digest: vote.digest,
    counts: counts(vote, request),
    comment,
    at_ms,
    voided_ms,
  };
}
