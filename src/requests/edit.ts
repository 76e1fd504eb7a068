import { challengeOf } from '../decide/authorize.ts';
import { planContextOf, type WriteContext } from '../decide/control.ts';
import { denied, notYet } from '../decide/refusals.ts';
import type { Refused } from '../decide/refused.ts';
import type { Decision } from '../policy/policies.ts';
import { schedulerPrincipal } from '../principal.ts';
import { editTouches } from '../store/requests.ts';
import { isStoreError } from '../store/write-faults.ts';
import { editContent, type RequestEdit } from './content.ts';
import { decideRequest, record } from './decide-request.ts';
import { expire } from './expire.ts';
import { aboutRequest } from './gates.ts';
import { assertPrecondition, findOpen, type Precondition, saveNext } from './open-request.ts';
import { assertStart, assertStartsBefore } from './propose.ts';
import { type ChangeRequest, humansBehind, loadVotes, requestDigest } from './request.ts';
import { settle } from './settle.ts';

/**
 * Replaces parts of a request's content. An empty edit only updates its base versions (a rebase).
 *
 * The digest changes with the content, which voids every earlier approval: approvals are looked up by digest, so no row
 * has to be removed. The editor becomes an author and cannot approve.
 *
 * @param operation `request.schedule` if only the start changes, so that the policy can distinguish the two
 * @param condition what the caller read
 * @returns the updated request, or the refusal with its record appended
 * @throws BrokerError `not_found`, `request_closed`, `precondition_required`, `precondition_failed`,
 *   `weak_validator`, `digest_mismatch`, `invalid_change`
 */
export async function edit(
  writing: WriteContext,
  {
    request_id,
    change,
    condition,
    operation = 'request.edit',
  }: {
    request_id: string;
    change: RequestEdit;
    condition: Precondition;
    operation?: 'request.edit' | 'request.schedule';
  },
): Promise<ChangeRequest | Refused> {
  const { tx, call, now_ms, deps } = writing;
  const { principal } = call;
  // 1. Load, and compute the new content on the current flags.
  const request = await findOpen(tx, request_id);
  if (request.expires_ms <= now_ms) return expire(writing, request);
  const votes = await loadVotes(tx, request.id);
  assertPrecondition(request, condition, { votes, now_ms, policy: writing.policy, kinds: deps.kinds });
  const kind = deps.kinds.of(request.kind);
  const content = editContent(kind, request.content, change);
  if (change.start_ms !== undefined) assertStart(content, now_ms);
  assertStartsBefore(content, request.expires_ms);
  const context = planContextOf(writing, request.proposer);
  // A key that is taken is only told to those who may create the flag: they are judged as if it were free.
  const judged = async (fault: unknown) => {
    // What the store could not do says nothing about the edit.
    if (isStoreError(fault)) throw fault;
    const { plan } = await kind.plan(tx, content, { ...context, onlyJudged: true });
    return { plan, fault };
  };
  const isRefused =
    kind.isCostly === true &&
    !isGranted(operation, await decideRequest(writing, { operation, principal, request, votes }));
  const made = isRefused ? await judged(null) : await kind.plan(tx, content, context).catch(judged);

  // 2. May this principal edit this request, and may they propose the result? The new content may touch other
  // namespaces and tiers.
  const edited: ChangeRequest = {
    ...request,
    state: 'pending',
    content,
    plan: made.plan,
    digest: requestDigest(content, made.plan.bases),
    authors: [...new Set([...request.authors, ...humansBehind(principal)])],
  };
  let decided = request;
  let decision = await decideRequest(writing, { operation, principal, request, votes });
  if (isGranted(operation, decision)) {
    decided = { ...edited, authors: request.authors };
    decision = await decideRequest(writing, { operation, principal, request: decided, votes });
  }
  const granted = isGranted(operation, decision);
  const decisionId = await record(writing, {
    operation,
    principal,
    decision,
    // The record describes what was decided; a refused edit changes nothing.
    request: granted ? edited : { ...decided, state: request.state },
    from: request.state,
  });
  if (decision.effect === 'deny') return denied(decision, decisionId);
  if (!granted) {
    return notYet(decision, {
      decision_id: decisionId,
      about: aboutRequest(request, { ...writing, kinds: writing.deps.kinds }),
      challenge: challengeOf(writing),
    });
  }

  if ('fault' in made) throw made.fault;

  // 3. Decide again with the new content.
  const settled = await settle(writing, {
    request: edited,
    votes,
    planned: made,
    asking: { operation: 'request.apply', principal: schedulerPrincipal, explicit: false },
  });
  const touches = { flags: kind.flagsOf(content), namespaces: kind.namespacesOf(made.plan) };
  await made.keep?.(tx, now_ms);
  await editTouches(tx, request.id, touches);
  return saveNext(tx, settled.request, now_ms);
}

/** A scheduled request cannot be applied yet, so only obligations on the caller block it. */
function isGranted(operation: string, { effect, obligations }: Decision): boolean {
  if (effect === 'allow') return true;
  if (effect === 'deny' || operation !== 'request.schedule') return false;
  return !obligations.some((obligation) => obligation.kind === 'sign_in' && obligation.who === 'caller');
}
