import { challengeOf } from '../decide/authorize.ts';
import type { Writing } from '../decide/control.ts';
import { refuseRead } from '../decide/read.ts';
import { denied, notYet } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { schedulerPrincipal } from '../principal.ts';
import { postponeRequest } from '../store/requests.ts';
import { decideRequest, record, recordAndRefuse } from './decide-request.ts';
import { aboutRequest } from './gates.ts';
import { findExisting, findOpen, saveNext } from './open-request.ts';
import { type ChangeRequest, isOpen, loadRequest, loadVotes, placesOf } from './request.ts';
import { settle } from './settle.ts';

/**
 * Takes a request back.
 *
 * @returns the withdrawn request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`
 */
export async function withdraw(writing: Writing, requestId: string): Promise<ChangeRequest | Refused> {
  const { principal } = writing.call;
  const operation = 'request.withdraw';
  const request = await findOpen(writing.tx, requestId);
  const decision = await decideRequest(writing, { operation, principal, request, votes: [] });
  const allowed = decision.effect === 'allow';
  const after: ChangeRequest = allowed ? { ...request, state: 'withdrawn', due_ms: null } : request;
  const refusal = await recordAndRefuse(writing, {
    operation,
    principal,
    decision,
    request: after,
    from: request.state,
  });
  if (refusal !== null) return refusal;
  return saveNext(writing.tx, after, writing.now_ms);
}

/**
 * Applies a request because somebody asks for it. A request that is applied already is answered as it is, so a retry
 * is safe and never applies twice.
 *
 * @returns the applied request, or a refusal with its record appended: denied, still held, or `request_conflicted`
 * @throws BrokerError `not_found`, `request_closed`
 */
export async function apply(writing: Writing, requestId: string): Promise<ChangeRequest | Refused> {
  const { tx, call, now_ms } = writing;
  const existing = await findExisting(tx, requestId);
  if (existing.state === 'applied') return answerApplied(writing, existing);
  const request = await findOpen(tx, requestId);
  if (request.expires_ms <= now_ms) return expire(writing, request);
  const {
    request: after,
    decision,
    decision_id,
  } = await settle(writing, {
    request,
    votes: await loadVotes(tx, request.id),
    plan: null,
    asking: { operation: 'request.apply', principal: call.principal, explicit: true },
  });
  if (decision.effect === 'deny') return denied(decision, decision_id);
  const saved = await saveNext(tx, after, now_ms);
  if (decision.effect === 'hold') {
    return notYet(decision, { decision_id, about: aboutRequest(saved), challenge: challengeOf(writing) });
  }
  return saved.state === 'conflicted' ? conflicted(saved, decision_id) : saved;
}

/** Nothing is written twice, and nobody learns of a request by asking to apply it who may not read it. */
async function answerApplied(writing: Writing, request: ChangeRequest): Promise<ChangeRequest | Refused> {
  for (const place of placesOf(request)) {
    const refusal = await refuseRead(writing, { operation: 'request.read', ...place });
    if (refusal !== null) return refusal;
  }
  return request;
}

/**
 * Looks at a request because its time has come: expires it, applies it, or lets it wait on. Called by the scheduler;
 * what it finds unchanged it does not record again.
 */
export async function look(writing: Writing, requestId: string): Promise<void> {
  const { tx, now_ms } = writing;
  const request = await loadRequest(tx, requestId);
  // Somebody may have been faster; two schedulers may look at once. The transaction decides, so nothing is applied twice.
  if (request === undefined || !isOpen(request) || request.due_ms === null || request.due_ms > now_ms) return;
  if (request.expires_ms <= now_ms) {
    await expire(writing, request);
    return;
  }
  const { request: after, unchanged } = await settle(writing, {
    request,
    votes: await loadVotes(tx, request.id),
    plan: null,
    asking: { operation: 'request.apply', principal: schedulerPrincipal, explicit: false, quiet: true },
  });
  if (unchanged) await postponeRequest(tx, request.id, after.due_ms);
  else await saveNext(tx, after, now_ms);
}

/** Ends a request whose time to live is over. @returns the refusal of what was asked for too late */
export async function expire(writing: Writing, request: ChangeRequest): Promise<Refused> {
  const operation = 'request.expire';
  const decision = await decideRequest(writing, {
    operation,
    principal: schedulerPrincipal,
    request,
    votes: [],
  });
  // Time to live is the broker's own promise: a policy can shorten it, and cannot keep a request alive.
  const after: ChangeRequest = { ...request, state: 'expired', due_ms: null };
  await record(writing, {
    operation,
    principal: schedulerPrincipal,
    decision,
    request: after,
    from: request.state,
  });
  await saveNext(writing.tx, after, writing.now_ms);
  return new Refused('request_closed', 'The request has expired. Propose it again.', {
    extra: { state: 'expired' },
  });
}

function conflicted(request: ChangeRequest, decisionId: string): Refused {
  return new Refused(
    'request_conflicted',
    'A flag has changed since the request was made, so nothing was applied. Propose it again on what is there now.',
    {
      decision_id: decisionId,
      extra: { state: request.state },
      gates: [
        {
          code: 'base_moved',
          detail: 'Propose the same content again; it needs new approvals.',
          cleared_by: 'proposer',
          call: { method: 'POST', path: '/v1/requests', body: { ...request.content } },
        },
      ],
    },
  );
}
