import { authorize, challengeOf, questionOf } from '../decide/authorize.ts';
import { type Call, type ControlDeps, planContextOf, type WriteContext } from '../decide/control.ts';
import type { Plan, RequestContent } from '../decide/plan.ts';
import { denied, notYet } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { isStrangerTo } from '../decide/strangers.ts';
import { BrokerError } from '../errors.ts';
import { inWords } from '../moment.ts';
import { insertRequest } from '../store/requests.ts';
import { isStoreError } from '../store/write-faults.ts';
import { decideRequest, record } from './decide-request.ts';
import { type ChangeRequest, humansBehind, requestDigest, toRow } from './request.ts';
import { type Settlement, STARTS_TOO_LATE, settle } from './settle.ts';

/**
 * Proposes a change. The request is applied at once if the policy allows it, held if it requires more, and refused if
 * it denies.
 *
 * @param operation `breakglass.apply` for the writes of a break-glass session, which cannot wait
 * @returns the new request, or the refusal with its record appended
 * @throws BrokerError `invalid_change` if the content cannot be carried out on the current flags
 */
export async function propose<Content extends RequestContent>(
  writing: WriteContext,
  content: Content,
  operation: 'request.propose' | 'breakglass.apply' = 'request.propose',
): Promise<Settlement | Refused> {
  const { deps, tx, call, now_ms } = writing;
  // 1. Load: plan the content on the current flags.
  const kind = deps.kinds.of(content.kind);
  const context = planContextOf(writing, call.principal);
  const refusal = kind.isCostly === true ? await refuseBeforeCost(writing, content, operation) : null;
  if (refusal !== null) return refusal;
  const planned = await kind
    .plan(tx, content, context)
    .then((made) => {
      assertStart(content, now_ms);
      return made;
    })
    .catch(async (fault: unknown) => {
      // What the store could not do says nothing about the proposal.
      if (isStoreError(fault)) throw fault;
      const stranger = await refuseStranger(writing, operation);
      if (stranger !== null) return stranger;
      const free = await kind.plan(tx, content, { ...context, onlyJudged: true });
      return refuseBeforeFault(writing, { request: draftOf(writing, content, free.plan), operation, fault });
    });
  if (planned instanceof Refused) return planned;

  // 2. Build the request to store.
  const { plan } = planned;
  const draft = draftOf(writing, content, plan);

  // 3. Decide, apply if allowed, record.
  const settled = await settle(writing, {
    request: draft,
    votes: [],
    planned,
    asking: { operation, principal: call.principal, explicit: operation === 'breakglass.apply' },
  });
  if (settled.decision.effect === 'deny') return denied(settled.decision, settled.decision_id);
  if (operation === 'breakglass.apply' && settled.request.state !== 'applied') {
    return notYet(settled.decision, {
      decision_id: settled.decision_id,
      about: null,
      challenge: challengeOf(writing),
    });
  }

  if (settled.note?.code === STARTS_TOO_LATE) {
    return Refused.because(expiresBeforeStart(settled.request.expires_ms), settled.decision_id);
  }

  // 4. Store.
  const request = { ...settled.request, revision: 1 };
  const touches = { flags: kind.flagsOf(content), namespaces: kind.namespacesOf(plan) };
  await planned.keep?.(tx, now_ms);
  await insertRequest(tx, toRow(request), touches);
  return { ...settled, request };
}

/** Whoever has no grant at all is refused before anything is said about what they sent. */
async function refuseStranger(
  writing: WriteContext,
  operation: 'request.propose' | 'breakglass.apply',
): Promise<Refused | null> {
  const { policy, call, now_ms } = writing;
  if (!isStrangerTo(policy, questionOf(policy, call.principal, { operation }), now_ms)) return null;
  const authorized = await authorize(writing, { operation });
  return authorized instanceof Refused ? authorized : null;
}

/**
 * What takes long is not done for somebody who may not propose it.
 *
 * @returns the refusal with its record appended; null for everybody else
 */
export async function refuseBeforeCost(
  writing: WriteContext,
  content: RequestContent,
  operation: 'request.propose' | 'breakglass.apply',
): Promise<Refused | null> {
  const kind = writing.deps.kinds.of(content.kind);
  const stranger = await refuseStranger(writing, operation);
  if (stranger !== null) return stranger;
  const { plan } = await kind.plan(writing.tx, content, {
    ...planContextOf(writing, writing.call.principal),
    onlyJudged: true,
  });
  return deniedBefore(writing, draftOf(writing, content, plan), operation);
}

/** The refusal of a request that the policy denies, with its record appended; null if it would not deny. */
async function deniedBefore(
  writing: WriteContext,
  request: ChangeRequest,
  operation: 'request.propose' | 'breakglass.apply',
): Promise<Refused | null> {
  const { principal } = writing.call;
  const decision = await decideRequest(writing, { operation, principal, request, votes: [] });
  if (decision.effect !== 'deny') return null;
  return denied(decision, await record(writing, { operation, principal, decision, request, from: null }));
}

/**
 * A key that is taken by a flag which the caller may not see is only told to callers who may create the flag: the policy
 * is asked first, as if the key were free.
 *
 * @returns the refusal with its record appended
 * @throws the fault, if the policy would not deny
 */
async function refuseBeforeFault(
  writing: WriteContext,
  {
    request,
    operation,
    fault,
  }: { request: ChangeRequest; operation: 'request.propose' | 'breakglass.apply'; fault: unknown },
): Promise<Refused> {
  const refusal = await deniedBefore(writing, request, operation);
  if (refusal === null) throw fault;
  return refusal;
}

/** The request as it is judged; it is not stored yet. */
export function draftOf(
  {
    deps,
    call,
    now_ms,
    policy,
  }: Pick<WriteContext, 'now_ms' | 'policy'> & {
    deps: Pick<ControlDeps, 'kinds' | 'newId'>;
    call: Pick<Call, 'principal'>;
  },
  content: RequestContent,
  plan: Plan,
): ChangeRequest {
  const kind = deps.kinds.of(content.kind);
  return {
    id: deps.newId(now_ms),
    kind: kind.name,
    environment: kind.environmentOf(content, plan),
    state: 'pending',
    revision: 0,
    digest: requestDigest(content, plan.bases),
    content,
    plan,
    proposer: call.principal,
    authors: humansBehind(call.principal),
    created_ms: now_ms,
    updated_ms: now_ms,
    // The decision sets its time to live.
    expires_ms: Number.MAX_SAFE_INTEGER,
    due_ms: null,
    held_by: [],
    demands: [],
    standing: { effect: 'deny', reasons: [], obligations: [], policy_hash: policy.hash, at_ms: now_ms },
    decision_id: '',
  };
}

/** A request that starts after it expires could never be applied. */
export function assertStartsBefore(content: RequestContent, expiresMs: number): void {
  if (content.start_ms !== null && content.start_ms >= expiresMs) throw expiresBeforeStart(expiresMs);
}

function expiresBeforeStart(expiresMs: number): BrokerError {
  return new BrokerError('invalid_change', 'The request would expire before it starts; propose it later.', {
    errors: [{ pointer: '#/start_ms', detail: `must be before ${inWords('UTC', expiresMs)}` }],
  });
}

/** A start in the past is a mistake that would silently mean "at once". */
export function assertStart(content: RequestContent, nowMs: number): void {
  if (content.start_ms === null || content.start_ms > nowMs) return;
  throw new BrokerError(
    'invalid_change',
    'The start time is in the past; omit it to apply the change as soon as it is allowed.',
    {
      errors: [{ pointer: '#/start_ms', detail: 'must be in the future' }],
    },
  );
}
