import type { WriteContext } from '../decide/control.ts';
import { notDone } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { type Principal, schedulerPrincipal } from '../principal.ts';
import { expectVotes, upsertVote } from '../store/requests.ts';
import { decideRequest, recordAndRefuse } from './decide-request.ts';
import { withoutDemandOf } from './demands.ts';
import { expire } from './expire.ts';
import { assertDigest, findOpen, saveNext } from './open-request.ts';
import { type ChangeRequest, loadVotes } from './request.ts';
import { settle } from './settle.ts';

/** A vote on a request, and the digest that it names. */
export interface VoteOrder {
  request_id: string;
  /** The digest of the content that the person has read. */
  digest: string;
  comment: string | null;
}

/**
 * Approves exactly the content with that digest. Applies the request if nothing else is missing.
 *
 * @returns the request after the approval, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`, `digest_mismatch`
 */
export async function approve(writing: WriteContext, order: VoteOrder): Promise<ChangeRequest | Refused> {
  const given = await castVote(writing, order, 'approve');
  if (given instanceof Refused) return given;
  const { person } = writing.call.principal;
  const demands = person === null ? given.demands : withoutDemandOf(given.demands, person);
  const settled = await settle(writing, {
    request: { ...given, demands },
    votes: await loadVotes(writing.tx, given.id),
    planned: null,
    asking: { operation: 'request.apply', principal: schedulerPrincipal, explicit: false },
  });
  return saveNext(writing.tx, settled.request, writing.now_ms);
}

/**
 * Rejects a request permanently. One person who could have approved it is enough.
 *
 * @returns the rejected request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`, `digest_mismatch`
 */
export async function reject(writing: WriteContext, order: VoteOrder): Promise<ChangeRequest | Refused> {
  const given = await castVote(writing, order, 'reject');
  return given instanceof Refused ? given : saveNext(writing.tx, given, writing.now_ms);
}

/** A custom policy may allow a workload to vote. Its vote cannot be counted. */
function noPerson({ id }: Principal): BrokerError {
  return new BrokerError(
    'policy_denied',
    `Only a person can vote, and ${id} does not act for one. Ask a person to vote.`,
  );
}

/** Decides whether this person may cast the vote, records the decision, and stores the vote. */
async function castVote(
  writing: WriteContext,
  order: VoteOrder,
  verdict: 'approve' | 'reject',
): Promise<ChangeRequest | Refused> {
  const { deps, tx, call, now_ms } = writing;
  const { principal } = call;
  const { person } = principal;
  const decisionId = deps.newId(now_ms);
  const operation = `request.${verdict}` as const;
  expectVotes(tx, order.request_id);
  const request = await findOpen(tx, order.request_id);
  if (request.expires_ms <= now_ms) return expire(writing, request);
  assertDigest(request, order.digest);

  const decision = await decideRequest(writing, {
    operation,
    principal,
    request,
    votes: await loadVotes(tx, request.id),
  });
  const allowed = decision.effect === 'allow';
  const after: ChangeRequest =
    allowed && person !== null && verdict === 'reject'
      ? { ...request, state: 'rejected', due_ms: null }
      : request;
  const refusal = await recordAndRefuse(writing, {
    id: decisionId,
    operation,
    principal,
    decision,
    request: after,
    from: request.state,
    ...(allowed && person === null ? { note: notDone(noPerson(principal)) } : {}),
  });
  if (refusal !== null) return refusal;
  if (person === null) return Refused.because(noPerson(principal), decisionId);

  await upsertVote(tx, {
    request_id: request.id,
    person,
    verdict,
    digest: request.digest,
    principal: JSON.stringify(principal),
    comment: order.comment,
    at_ms: now_ms,
    voided_ms: null,
    decision_id: decisionId,
  });
  return after;
}
