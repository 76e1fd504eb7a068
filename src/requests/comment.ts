import type { WriteContext } from '../decide/control.ts';
import { notDone } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { schedulerPrincipal } from '../principal.ts';
import { countComments, findComment, insertComment, withdrawComment } from '../store/comments.ts';
import { voidVote } from '../store/requests.ts';
import type { CommentsTable } from '../store/schema.ts';
import { unknownName } from '../unknown-name.ts';
import type { CommentView } from './comment-view.ts';
import { decideRequest, recordAndRefuse } from './decide-request.ts';
import { standingDemands, withoutDemandOf } from './demands.ts';
import { expire } from './expire.ts';
import { assertDigest, findExisting, findOpen, saveNext } from './open-request.ts';
import { type ChangeRequest, loadVotes } from './request.ts';
import { settle } from './settle.ts';
import { isOpen } from './states.ts';

/** The most comments on one request. Demands have no such limit: nobody silences an approver by writing much. */
const MAX_COMMENTS = 1000;
/** The most of one principal on one request within an hour. */
const MAX_PER_HOUR = 30;
const HOUR_MS = 60 * 60 * 1000;

/** A comment, and the content that it is about; null: the present one. */
export interface CommentOrder {
  request_id: string;
  text: string;
  digest: string | null;
}

/**
 * Comments on a request, in whatever state it is. The record has a salted digest of the text, as of every note.
 *
 * @returns the comment, or the refusal with its record appended
 * @throws BrokerError `not_found`, `digest_mismatch`, `rate_limited`, `state_conflict` if there are too many
 */
export async function comment(writing: WriteContext, order: CommentOrder): Promise<CommentView | Refused> {
  const request = await findExisting(writing.tx, order.request_id);
  if (order.digest !== null) assertDigest(request, order.digest);
  const stored = await store(writing, { request, kind: 'comment', text: order.text });
  return stored instanceof Refused ? stored : toCommentView(stored, request);
}

/**
 * Asks for changes of exactly the content with that digest. Only somebody who could approve or reject it may; their former
 * approval is void, and the request waits until they approve, the demand is withdrawn, or the content changes.
 *
 * @returns the request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`, `digest_mismatch`, `rate_limited`, `state_conflict`
 */
export async function requestChanges(
  writing: WriteContext,
  order: CommentOrder & { digest: string },
): Promise<ChangeRequest | Refused> {
  const { tx, call, now_ms } = writing;
  const { principal } = call;
  const request = await findOpen(tx, order.request_id);
  if (request.expires_ms <= now_ms) return expire(writing, request);
  assertDigest(request, order.digest);
  const stored = await store(writing, { request, kind: 'changes_requested', text: order.text });
  if (stored instanceof Refused) return stored;
  const person = stored.person ?? principal.id;
  await voidVote(tx, { request_id: request.id, person, voided_ms: now_ms });
  const demand = { person, principal, digest: request.digest, comment: stored.id, at_ms: now_ms };
  return settleAgain(writing, {
    ...request,
    demands: [...withoutDemandOf(request.demands, person), demand],
  });
}

/**
 * Withdraws one's own comment: its text is taken away, and its demand holds nothing back any more. The record of the comment
 * stays.
 *
 * @returns the comment, or the refusal with its record appended
 * @throws BrokerError `not_found`; `state_conflict` if somebody else wrote it
 */
export async function withdrawOwnComment(
  writing: WriteContext,
  { request_id, id }: Pick<CommentsTable, 'request_id' | 'id'>,
): Promise<CommentView | Refused> {
  const { tx, call, now_ms, deps } = writing;
  const { principal } = call;
  const request = await findExisting(tx, request_id);
  const found = await findComment(tx, { request_id, id });
  if (found === undefined) throw unknownName({ what: 'comment', name: id });
  const operation = 'request.comment';
  const decision = await decideRequest(writing, { operation, principal, request, votes: [] });
  // Who acts for a person, or was started by one, does not take back what that person wrote.
  const isSamePerson =
    principal.kind === 'person' && found.person !== null && found.person === principal.person;
  const isOwn = found.principal_id === principal.id || isSamePerson;
  const fault = new BrokerError('state_conflict', 'Only its author may withdraw a comment.');
  const note =
    isOwn || decision.effect !== 'allow'
      ? { code: 'comment_withdrawn', detail: `Comment ${id}.` }
      : notDone(fault);
  const decisionId = deps.newId(now_ms);
  const refusal = await recordAndRefuse(writing, {
    ...{ id: decisionId, operation, principal, decision, request, from: request.state, note },
  });
  if (refusal !== null) return refusal;
  if (!isOwn) return Refused.because(fault, decisionId);
  if (found.withdrawn_ms === null) await withdrawComment(tx, id, now_ms);
  const withdrawn = { ...found, said: null, withdrawn_ms: found.withdrawn_ms ?? now_ms };
  const demands = request.demands.filter((demand) => demand.comment !== id);
  if (demands.length === request.demands.length || !isOpen(request)) return toCommentView(withdrawn, request);
  const freed = { ...request, demands };
  if (request.expires_ms > now_ms) return toCommentView(withdrawn, await settleAgain(writing, freed));
  // The comment is withdrawn anyway: only the request is too late.
  await expire(writing, freed);
  return toCommentView(withdrawn, { ...freed, state: 'expired' });
}

/** Decides, records and stores. A demand takes what a rejection takes: the policy says who could approve. */
async function store(
  writing: WriteContext,
  { request, kind, text }: { request: ChangeRequest; kind: CommentView['kind']; text: string },
): Promise<CommentsTable | Refused> {
  const { tx, call, now_ms, deps } = writing;
  const { principal } = call;
  const operation = kind === 'comment' ? 'request.comment' : 'request.ask_changes';
  const id = deps.newId(now_ms);
  const about = { principal, request, votes: await loadVotes(tx, request.id) };
  const decision = await decideRequest(writing, { operation, ...about });
  const fault = await faultOf(writing, { kind, request, about });
  const code = kind === 'comment' ? 'commented' : 'changes_requested';
  const note = fault === null || decision.effect !== 'allow' ? { code, detail: text } : notDone(fault);
  const recorded = { id, operation, principal, decision, request, from: request.state, note } as const;
  const refusal = await recordAndRefuse(writing, recorded);
  if (refusal !== null) return refusal;
  if (fault !== null) return Refused.because(fault, id);
  const row: CommentsTable = {
    id,
    request_id: request.id,
    kind,
    person: principal.person,
    principal: JSON.stringify(principal),
    principal_id: principal.id,
    said: text,
    digest: request.digest,
    at_ms: now_ms,
    withdrawn_ms: null,
    decision_id: id,
  };
  await insertComment(tx, row);
  return row;
}

/** Why it is not done although the operation is allowed; null if it is. */
async function faultOf(
  writing: WriteContext,
  {
    kind,
    request,
    about,
  }: {
    kind: CommentView['kind'];
    request: ChangeRequest;
    about: Omit<Parameters<typeof decideRequest>[1], 'operation'>;
  },
): Promise<BrokerError | null> {
  const { tx, now_ms } = writing;
  const { all, recent } = await countComments(tx, {
    request_id: request.id,
    principal_id: about.principal.id,
    sinceMs: now_ms - HOUR_MS,
  });
  if (kind === 'comment' && all >= MAX_COMMENTS)
    return new BrokerError('state_conflict', `A request has at most ${MAX_COMMENTS} comments.`);
  if (recent >= MAX_PER_HOUR) {
    const headers = { 'Retry-After': String(HOUR_MS / 1000) };
    return new BrokerError(
      'rate_limited',
      `You wrote ${MAX_PER_HOUR} comments on this request within an hour. Say more in one comment, or wait.`,
      { headers },
    );
  }
  if (kind === 'comment') return null;
  if (about.principal.person === null)
    return new BrokerError('policy_denied', 'Only a person asks for changes. Ask a person to do it.');
  const could = await decideRequest(writing, { operation: 'request.reject', ...about });
  if (could.effect === 'allow') return null;
  const reasons = could.reasons.map(({ detail }) => detail).join(' ');
  return new BrokerError(
    'policy_denied',
    `Only somebody who could approve or reject it asks for changes. ${reasons}`,
    {
      reasons: could.reasons,
    },
  );
}

async function settleAgain(writing: WriteContext, request: ChangeRequest): Promise<ChangeRequest> {
  const settled = await settle(writing, {
    request,
    votes: await loadVotes(writing.tx, request.id),
    planned: null,
    asking: { operation: 'request.apply', principal: schedulerPrincipal, explicit: false },
  });
  return saveNext(writing.tx, settled.request, writing.now_ms);
}

/** A comment in an answer. */
export function toCommentView(
  row: CommentsTable,
  request: Pick<ChangeRequest, 'demands' | 'digest' | 'state'>,
): CommentView {
  const stands = isOpen(request) && standingDemands(request).some((demand) => demand.comment === row.id);
  return {
    id: row.id,
    request_id: row.request_id,
    kind: row.kind as CommentView['kind'],
    person: row.person,
    principal: row.principal_id,
    text: row.said,
    digest: row.digest,
    stands,
    at_ms: row.at_ms,
    withdrawn_ms: row.withdrawn_ms,
    decision_id: row.decision_id,
  };
}
