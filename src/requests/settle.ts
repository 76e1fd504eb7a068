import {
  type Effect,
  type EffectRecord,
  type PlanWithEffects,
  planContextOf,
  type WriteContext,
} from '../decide/control.ts';
import { Worsened } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import type { Operation } from '../operations.ts';
import { clearsByItself } from '../policy/cosigned.ts';
import type { Decision } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import type { VersionOrigin } from '../store/flags.ts';
import { decideRequest, type RequestDecision, record } from './decide-request.ts';
import { standingDemands, validDemands } from './demands.ts';
import {
  type ChangeRequest,
  isSamePlan,
  isUnmoved,
  requestDigest,
  type Standing,
  type StoredVote,
} from './request.ts';
import { isOpen, type RequestState } from './states.ts';

/** The delay until the scheduler decides again after a deny or a wait. Windows open on whole minutes. */
const RECHECK_MS = 60_000;

/** The time to live of a request if the policy sets no `request_ttl_s`: three days. */
const DEFAULT_TTL_S = 3 * 24 * 60 * 60;

/** The note on a proposal that was decided but not stored, because it would expire before its start. */
export const STARTS_TOO_LATE = 'expires_before_start';

/** The note on an allowed request that is not applied, because somebody who could approve asks for changes. */
const CHANGES_REQUESTED: Reason = {
  code: 'changes_requested',
  detail: 'Not applied: somebody who could approve it asks for changes.',
};

/** Who asks to apply a request, and how. */
export interface ApplyAttempt {
  operation: Extract<Operation, 'request.propose' | 'request.apply' | 'breakglass.apply'>;
  principal: Principal;
  /** True if a caller asked to apply: then `apply: manual` does not hold the request back. */
  explicit: boolean;
  /** True for a scheduled check: an unchanged answer is not recorded again. */
  quiet?: boolean;
}

/** A request after the decision on applying it. */
export interface Settlement {
  request: ChangeRequest;
  decision: RequestDecision;
  decision_id: string;
  /** True if a quiet check found no change and recorded nothing. */
  unchanged: boolean;
  /** The broker's own note on the outcome. */
  note?: Reason;
}

/**
 * Evaluates the active policy on whether a request may be applied, and carries out the answer: applies the request, lets
 * it wait, or marks it conflicted. The core of the workflow: every use case that can move a request ends here.
 *
 * Does not store the request: the caller inserts or updates it. Appends the record.
 */
export async function settle(
  writing: WriteContext,
  {
    request: asked,
    votes,
    planned,
    asking,
  }: {
    request: ChangeRequest;
    votes: readonly StoredVote[];
    /** The current plan, if the caller has just computed it. */
    planned: PlanWithEffects | null;
    asking: ApplyAttempt;
  },
): Promise<Settlement> {
  const { operation, principal } = asking;
  const isNew = asked.revision === 0;
  const from = isNew ? null : asked.state;
  const valid = isNew ? [] : await validDemands(writing, asked);
  const present = { ...asked, demands: valid };
  const renewed = planned === null ? await renewPlan(writing, present) : present;
  const decision = await decideRequest(writing, { operation, principal, request: renewed, votes });
  const request = isNew ? withLife(renewed, decision) : renewed;
  const decisionId = writing.deps.newId(writing.now_ms);
  const standing = standingOf(decision, writing.now_ms);

  const isDemanded = valid.length > 0;
  let state = waitingState(request, decision, isDemanded);
  let done: EffectRecord | undefined;
  let conflict: string | null = null;
  let note = isNew && decision.effect !== 'deny' ? lateStart(request) : undefined;
  if (decision.effect === 'allow' && isDemanded) note = CHANGES_REQUESTED;
  else if (decision.effect === 'allow' && isDue(request, asking, writing.now_ms)) {
    const found = planned ?? (await planNow(writing, request));
    if ('plan' in found && isSamePlan(request.plan, found.plan)) {
      done = await carryOut(writing, found.effects, { request_id: request.id, decision_id: decisionId });
      state = 'applied';
    } else {
      conflict = 'plan' in found ? null : found.conflict;
      note = {
        code: 'request_conflicted',
        detail: conflict ?? writing.deps.kinds.of(request.kind).conflict,
      };
      state = 'conflicted';
    }
  }
  const { held_by } = decision;
  if (conflict !== null) standing.conflict = conflict;
  const settled = { ...request, state, standing, held_by, decision_id: decisionId };
  const after = { ...settled, due_ms: nextLook(settled, writing.now_ms) };
  const unchanged =
    asking.quiet === true &&
    state === request.state &&
    request.digest === asked.digest &&
    valid.length === standingDemands(asked).length &&
    isSameAnswer(standing, request.standing);
  let recordedId = decisionId;
  if (!unchanged) {
    recordedId = await record(writing, {
      id: decisionId,
      operation,
      principal,
      decision,
      request: after,
      from,
      ...(done === undefined ? {} : { done }),
      ...(note === undefined ? {} : { note }),
    });
  }
  return {
    request: after,
    decision,
    decision_id: recordedId,
    unchanged,
    ...(note === undefined ? {} : { note }),
  };
}

/** The decision about a new request sets its time to live. */
function withLife(request: ChangeRequest, { limits }: Decision): ChangeRequest {
  return { ...request, expires_ms: expiryOf(limits, request.created_ms) };
}

/** When a request that is proposed at `nowMs` expires, by the limits of the decision about it. */
export function expiryOf({ request_ttl_s }: Decision['limits'], nowMs: number): number {
  return nowMs + (request_ttl_s ?? DEFAULT_TTL_S) * 1000;
}

function lateStart({ content, expires_ms }: ChangeRequest): Reason | undefined {
  if (content.start_ms === null || content.start_ms < expires_ms) return undefined;
  return { code: STARTS_TOO_LATE, detail: 'Not stored: the request would expire before it starts.' };
}

function isSameAnswer(one: Standing, other: Standing): boolean {
  const answer = ({ effect, reasons, obligations, policy_hash }: Standing) => [
    effect,
    reasons,
    obligations,
    policy_hash,
  ];
  return canonicalJson(answer(one)) === canonicalJson(answer(other));
}

/** The current plan of the content; if it can no longer be carried out, why not, as far as readers may know. */
async function planNow(
  writing: WriteContext,
  { kind, content, plan, proposer }: ChangeRequest,
): Promise<PlanWithEffects | { conflict: string | null }> {
  try {
    const context = { ...planContextOf(writing, proposer), proposed: plan };
    return await writing.deps.kinds.of(kind).plan(writing.tx, content, context);
  } catch (error) {
    if (error instanceof Worsened) return { conflict: error.message };
    if (error instanceof BrokerError && error.code === 'invalid_change') return { conflict: null };
    throw error;
  }
}

/**
 * The request with a current plan, if an older version of the broker made its plan: an upgrade never causes a conflict.
 * If the new plan has more bases, the digest changes and new approvals are required. A request whose base has changed
 * keeps its plan and conflicts.
 */
async function renewPlan(writing: WriteContext, request: ChangeRequest): Promise<ChangeRequest> {
  if (request.plan.version === writing.deps.kinds.of(request.kind).planVersion) return request;
  const present = await planNow(writing, request);
  if (!('plan' in present) || !isUnmoved(request.plan, present.plan)) return request;
  const { plan } = present;
  await present.keep?.(writing.tx, writing.now_ms);
  const digest = requestDigest(request.content, plan.bases);
  const demands = request.demands.map((demand) => ({ ...demand, digest }));
  return { ...request, plan, digest, demands };
}

async function carryOut(
  writing: WriteContext,
  effects: readonly Effect[],
  origin: Omit<VersionOrigin, 'at_ms'>,
): Promise<EffectRecord> {
  const records: EffectRecord[] = [];
  for (const effect of effects)
    records.push(await effect.carryOut(writing, { ...origin, at_ms: writing.now_ms }));
  const flags = records.flatMap((record) => record.flags ?? []);
  return { ...Object.assign({}, ...records), ...(flags.length === 0 ? {} : { flags }) };
}

/** Whether an allowed request is applied now, rather than waiting for its start or for a call. */
function isDue({ content }: ChangeRequest, asking: ApplyAttempt, nowMs: number): boolean {
  const started = content.start_ms === null || content.start_ms <= nowMs;
  return started && (asking.explicit || content.apply === 'auto');
}

/** The state of a request that is not applied: `ready` if it waits only for the clock, witnesses or a call to apply. */
function waitingState(request: ChangeRequest, decision: Decision, isDemanded: boolean): RequestState {
  switch (decision.effect) {
    case 'allow':
      return isDemanded ? 'pending' : 'ready';
    case 'hold':
      return !isDemanded && decision.obligations.every(clearsByItself) ? 'ready' : 'pending';
    case 'deny':
      return request.state;
  }
}

/** When the scheduler checks a request again; null once it is closed. */
function nextLook(request: ChangeRequest, nowMs: number): number | null {
  if (!isOpen(request)) return null;
  const { standing, content, expires_ms } = request;
  const start = content.start_ms !== null && content.start_ms > nowMs ? content.start_ms : null;
  if (standing.effect === 'allow' && content.apply === 'manual') return expires_ms;
  if (standing.effect !== 'deny' && request.state === 'pending') return expires_ms;
  const recheck = start ?? (Math.floor(nowMs / RECHECK_MS) + 1) * RECHECK_MS;
  return Math.min(recheck, expires_ms);
}

function standingOf(decision: Decision, atMs: number): Standing {
  const { effect, reasons, obligations, policy_hash } = decision;
  return { effect, reasons, obligations, policy_hash, at_ms: atMs };
}
