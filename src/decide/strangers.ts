import { append } from '../log/append.ts';
import type { Entry } from '../log/entry.ts';
import { OPERATIONS } from '../operations.ts';
import { NO_EMERGENCY } from '../policy/input.ts';
import type { Decision, Policy, Question } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { countDenial, countDeniedCallers, findDenial } from '../store/denials.ts';
import type { Tx } from '../store/statement.ts';
import { traceStep } from '../tracing.ts';
import type { WriteContext } from './control.ts';

/*
 * Denials of strangers: callers whom no binding of the policy knows. They are decided without their content, and after
 * the first of a minute they are counted instead of recorded, so that nobody from outside can fill the evidence
 * (design, invariant 3). Every denial of a caller with a grant is a record.
 */

/** The time for which denials are counted together. */
export const MINUTE_MS = 60_000;

/** The callers of a minute who have a count of their own. All others share one, whatever their number. */
const COUNTED_CALLERS = 10;

/** The caller of the shared count; no principal has this id. */
const OTHERS = '*';

/** A decision, and whether it is about a stranger and hence without content. */
export interface JudgedDecision extends Decision {
  without_content?: true;
}

/** The policy's reason for callers whom no binding knows, whatever they ask. */
const UNKNOWN = 'unknown_principal';

/** The policy's reason for callers without a role in the place that they ask about. */
const NO_ROLE = 'role_missing';

/**
 * The reasons that a caller is told: for a stranger, only that they are one, if the policy says so; without a role in the
 * place, nothing of its freezes.
 */
export function toldReasons({ reasons, without_content }: JudgedDecision): readonly Reason[] {
  if (without_content !== true) {
    const hasNoRole = reasons.some(({ code }) => code === NO_ROLE);
    return hasNoRole ? reasons.filter(({ code }) => code !== 'frozen') : reasons;
  }
  const told = reasons.filter(({ code }) => code === UNKNOWN);
  return told.length === 0 ? reasons : told;
}

/**
 * Decides a question. A stranger who is denied gets the answer to the same question without content instead: nothing of
 * what they sent is kept, and their refusal depends on nothing that they may not know.
 */
export function decideFor(policy: Policy, question: Question, nowMs: number): JudgedDecision {
  return traceStep(
    'countersign.decide',
    () => judge(policy, question, nowMs),
    ({ effect, policy_hash }) => ({
      'countersign.operation': question.operation,
      'countersign.effect': effect,
      'countersign.policy_hash': policy_hash,
    }),
  );
}

function judge(policy: Policy, question: Question, nowMs: number): JudgedDecision {
  const decision = policy.decide(question, nowMs);
  if (decision.effect !== 'deny' || !isStranger(policy, question, nowMs)) return decision;
  const bare = policy.decide(withoutContent(question), nowMs);
  return bare.effect === 'deny' ? { ...bare, without_content: true } : decision;
}

/** Whether a caller is denied an operation as a stranger, whatever it is about. */
export function isStrangerTo(policy: Policy, question: Question, nowMs: number): boolean {
  return decideFor(policy, withoutContent(question), nowMs).without_content === true;
}

function withoutContent({ revocation: _, ...question }: Question): Question {
  return { ...question, request: null, approvals: [], rejections: [], emergency: NO_EMERGENCY };
}

/** Asks about a plain read, because the answer to the question itself may be about its content alone. */
function isStranger(policy: Policy, question: Question, nowMs: number): boolean {
  // What needs no grant is denied to strangers for the same reasons as to anybody.
  if (OPERATIONS[question.operation].capability === null) return false;
  const asked = {
    ...withoutContent(question),
    operation: 'flag.read',
    environment: null,
    namespace: null,
  } as const;
  // Whoever decides the question says who is known: the bindings of each stage are its own.
  const { effect, reasons } = policy.deciding(question).decide(asked, nowMs);
  return effect === 'deny' && reasons.some(({ code }) => code === UNKNOWN);
}

/**
 * Appends the record of a decision, or counts it: a stranger's denial is a record only if it is the caller's first of the
 * minute, and the caller one of the first of the minute.
 *
 * @returns the id of the decision whose record stands for it
 */
export async function appendDecision(
  { tx, now_ms, afterCommit, deps }: Pick<WriteContext, 'tx' | 'now_ms' | 'afterCommit' | 'deps'>,
  entry: Entry,
  decision: JudgedDecision,
): Promise<string> {
  if (decision.without_content !== true) {
    await append(tx, entry);
    return entry.id;
  }
  afterCommit(() => deps.events.stranger(entry.principal));
  const minute_ms = minuteOf(now_ms);
  const { operation } = entry;
  const { caller, first } = await placeOf(tx, { minute_ms, principal: entry.principal });
  if (first === undefined) {
    const { note: _, ...rest } = entry;
    await append(tx, { ...rest, request: null, votes: [], flags: [] });
  }
  const decision_id = first ?? entry.id;
  await countDenial(tx, { minute_ms, caller, operation, decision_id, count: first === undefined ? 0 : 1 });
  return decision_id;
}

/** Where a denial counts: as the caller's own or as one of the others', and under which decision if it is not the first. */
async function placeOf(
  tx: Tx,
  { minute_ms, principal: { id } }: { minute_ms: number; principal: Principal },
): Promise<{ caller: string; first: string | undefined }> {
  const own = await findDenial(tx, { minute_ms, caller: id });
  if (own !== undefined) return { caller: id, first: own };
  const others = await findDenial(tx, { minute_ms, caller: OTHERS });
  const isFull = others !== undefined || (await countDeniedCallers(tx, minute_ms)) >= COUNTED_CALLERS;
  return isFull ? { caller: OTHERS, first: others } : { caller: id, first: undefined };
}

/** The minute of a denial, by its first millisecond. */
export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS) * MINUTE_MS;
}
