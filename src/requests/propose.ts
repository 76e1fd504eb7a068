import { challengeOf } from '../decide/authorize.ts';
import { environmentsOf, type Writing } from '../decide/control.ts';
import { denied, notYet } from '../decide/refusals.ts';
import { BrokerError } from '../errors.ts';
import { insertRequest } from '../store/requests.ts';
import type { RequestContent } from './content.ts';
import { loadPlan } from './plan.ts';
import { type ChangeRequest, flagsOf, requestDigest, toRow } from './request.ts';
import { type Settled, settle } from './settle.ts';

/** How long a request lives when the policy sets no `request_ttl_s`: three days. */
const DEFAULT_TTL_S = 3 * 24 * 60 * 60;

/**
 * Proposes a change: applied at once where policy allows it, held where it wants more, refused where it denies.
 *
 * @param operation `breakglass.apply` for the writes of a break-glass session, which cannot wait
 * @returns the request as it stands, or the refusal with its record appended
 * @throws BrokerError `invalid_change` when the content cannot be carried out on the present flags
 */
export async function propose(
  writing: Writing,
  content: RequestContent,
  operation: 'request.propose' | 'breakglass.apply' = 'request.propose',
): Promise<Settled | BrokerError> {
  const { deps, tx, call, now_ms, policy } = writing;
  // 1. Load: what the content would do to the flags as they are.
  const plan = await loadPlan(tx, content, { now_ms, environments: environmentsOf(policy) });
  assertStart(content, now_ms);

  // 2. The request, as it would be stored.
  const { writes: _, ...planned } = plan;
  const draft: ChangeRequest = {
    id: deps.newId(now_ms),
    kind: content.kind,
    environment: content.kind === 'flag.change' ? content.environment : (planned.freeze?.environment ?? null),
    state: 'pending',
    revision: 0,
    digest: requestDigest(content, planned.bases),
    content,
    planned,
    proposer: call.principal,
    authors: call.principal.person === null ? [] : [call.principal.person],
    created_ms: now_ms,
    updated_ms: now_ms,
    expires_ms: now_ms + DEFAULT_TTL_S * 1000,
    due_ms: null,
    standing: { effect: 'deny', reasons: [], obligations: [], policy_hash: policy.hash, at_ms: now_ms },
    decision_id: '',
  };

  // 3. Decide, apply where allowed, record.
  const settled = await settle(writing, {
    request: draft,
    votes: [],
    plan,
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

  // 4. Store.
  const ttlMs = (settled.decision.limits.request_ttl_s ?? DEFAULT_TTL_S) * 1000;
  const request = withExpiry({ ...settled.request, revision: 1 }, ttlMs);
  await insertRequest(tx, toRow(request), flagsOf(content));
  return { ...settled, request };
}

/** The time to live comes from the decision, so it is known only after it. */
function withExpiry(request: ChangeRequest, ttlMs: number): ChangeRequest {
  const expires_ms = request.created_ms + ttlMs;
  assertStartsBefore(request.content, expires_ms);
  return {
    ...request,
    expires_ms,
    due_ms: request.due_ms === null ? null : Math.min(request.due_ms, expires_ms),
  };
}

/** A request that starts after it expires could never be applied. */
export function assertStartsBefore(content: RequestContent, expiresMs: number): void {
  if (content.start_ms === null || content.start_ms < expiresMs) return;
  throw new BrokerError('invalid_change', 'The request would expire before it starts; propose it later.', {
    errors: [{ pointer: '#/start_ms', detail: `must be before ${new Date(expiresMs).toISOString()}` }],
  });
}

/** A start in the past is a mistake that would silently mean "at once". */
export function assertStart(content: RequestContent, nowMs: number): void {
  if (content.start_ms === null || content.start_ms > nowMs) return;
  throw new BrokerError(
    'invalid_change',
    'The start time has passed; leave it out to apply as soon as allowed.',
    {
      errors: [{ pointer: '#/start_ms', detail: 'must be in the future' }],
    },
  );
}
