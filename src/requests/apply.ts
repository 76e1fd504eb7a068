import { challengeOf } from '../decide/authorize.ts';
import type { RequestKinds, WriteContext } from '../decide/control.ts';
import { refuseRead } from '../decide/read.ts';
import { denied, notYet } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { expectVotes } from '../store/requests.ts';
import { expire } from './expire.ts';
import { aboutRequest, baseMovedGate } from './gates.ts';
import { assertDigest, findExisting, findOpen, type ReadContent, saveNext } from './open-request.ts';
import { type ChangeRequest, loadVotes, placesOf } from './request.ts';
import { settle } from './settle.ts';

/**
 * Applies a request on demand. Idempotent: a request that is already applied is answered as it is.
 *
 * @returns the applied request, or a refusal with its record appended: denied, still held, or `request_conflicted`
 * @throws BrokerError `not_found`, `request_closed`, `digest_mismatch`
 */
export async function apply(
  writing: WriteContext,
  { request_id, digest }: ReadContent,
): Promise<ChangeRequest | Refused> {
  const { tx, call, now_ms } = writing;
  expectVotes(tx, request_id);
  const existing = await findExisting(tx, request_id);
  if (existing.state === 'applied') return answerApplied(writing, existing, digest);
  const request = await findOpen(tx, request_id);
  if (request.expires_ms <= now_ms) return expire(writing, request);
  if (digest !== null) assertDigest(request, digest);
  const {
    request: after,
    decision,
    decision_id,
  } = await settle(writing, {
    request,
    votes: await loadVotes(tx, request.id),
    planned: null,
    asking: { operation: 'request.apply', principal: call.principal, explicit: true },
  });
  if (decision.effect === 'deny') return denied(decision, decision_id);
  const saved = await saveNext(tx, after, now_ms);
  if (decision.effect === 'hold') {
    return notYet(decision, {
      decision_id,
      about: aboutRequest(saved, { ...writing, kinds: writing.deps.kinds }),
      challenge: challengeOf(writing),
    });
  }
  return saved.state === 'conflicted' ? conflicted(saved, decision_id, writing.deps.kinds) : saved;
}

/** Writes nothing. A caller who may not read the request learns nothing about it. */
async function answerApplied(
  writing: WriteContext,
  request: ChangeRequest,
  digest: ReadContent['digest'],
): Promise<ChangeRequest | Refused> {
  for (const place of placesOf(request, writing.deps.kinds)) {
    const refusal = await refuseRead(writing, { operation: 'request.read', ...place });
    if (refusal !== null) return refusal;
  }
  if (digest !== null) assertDigest(request, digest);
  return request;
}

function conflicted(request: ChangeRequest, decisionId: string, kinds: RequestKinds): Refused {
  return new Refused(
    'request_conflicted',
    `${request.standing.conflict ?? kinds.of(request.kind).conflict} Nothing was applied. Propose it again on the current state.`,
    { decision_id: decisionId, extra: { state: request.state }, gates: [baseMovedGate(request, kinds)] },
  );
}
