import { canonicalJson } from '../json.ts';
import type { Policy } from './policies.ts';

/*
 * Replay: a recorded decision is made again from its stored input, with the versions of then, and compared byte for byte
 * in canonical form (design invariant 2).
 */

/** What the log keeps of one decision. */
export interface KeptDecision {
  policy_hash: string;
  /** Null members: no policy made the decision. */
  versions: { input: number | null; result: number; guardrails: number | null };
  /** The exact text that was evaluated. */
  input_json: string;
  /** The policy's result: effect, reasons, obligations and limits. */
  result: unknown;
  /** The code of the guardrail that overruled the policy, or null. */
  guardrail: string | null;
}

/** The parts of a decision that can differ, in the order in which they are compared. */
export const REPLAY_PARTS = ['bundle', 'input', 'recorded_result', 'result', 'guardrail'] as const;

/** The first difference between what was recorded and what was found again. */
export interface Difference {
  /**
   * `bundle`: the bundle is not the one that decided; `input` and `recorded_result`: what is stored is not what was
   * hashed, so both values are digests; `result` and `guardrail`: the policy now answers otherwise.
   */
  part: (typeof REPLAY_PARTS)[number];
  /** A JSON Pointer (RFC 6901) into that part; empty for all of it. */
  pointer: string;
  /** Undefined where there is nothing. */
  recorded?: unknown;
  replayed?: unknown;
}

/** Why a decision cannot be replayed. */
export const NOT_REPLAYABLE = {
  no_policy:
    'No policy made this decision: it records an act of the operator, or an event of the broker itself.',
  record_version_0: 'The record is older than the versions of records that say how the decision was made.',
  erased: 'Its input and result were erased.',
  archive_missing: 'Its input is in an archive that is not there.',
  archive_damaged: 'Its input is in an archive that was changed or damaged.',
  bundle_missing: 'This database does not have the policy bundle that made the decision.',
  bundle_unusable: 'This version of the broker cannot use the policy bundle that made the decision.',
  version_unknown: 'A later version of the broker made this decision; replay it with that version.',
} as const;

/** The reason code. */
export type NotReplayable = keyof typeof NOT_REPLAYABLE;

/** Codes of decisions that nothing can be expected of. The others are gaps in what can be verified. */
export const NEVER_REPLAYABLE: readonly NotReplayable[] = ['no_policy', 'record_version_0', 'erased'];

/** The outcome of a replay. */
export type Replay =
  | { outcome: 'same' }
  | { outcome: 'different'; difference: Difference }
  | { outcome: 'not_replayable'; code: NotReplayable };

/**
 * Makes a decision again and compares the answers.
 *
 * @param policy the bundle that made it
 */
export function replayDecision(policy: Policy, kept: KeptDecision): Replay {
  if (policy.hash !== kept.policy_hash) {
    return different({ part: 'bundle', pointer: '', recorded: kept.policy_hash, replayed: policy.hash });
  }
  const { input, result, guardrails } = kept.versions;
  if (input === null || guardrails === null) return { outcome: 'not_replayable', code: 'no_policy' };
  const versions = { input, result, guardrails };
  if (!policy.knows(versions)) return { outcome: 'not_replayable', code: 'version_unknown' };
  const { guardrail = null, ...answer } = policy.replay(kept.input_json, versions);
  const found = firstDifference(kept.result, answer);
  if (found !== null) return different({ part: 'result', ...found });
  if (guardrail !== kept.guardrail) {
    return different({ part: 'guardrail', pointer: '', recorded: kept.guardrail, replayed: guardrail });
  }
  return { outcome: 'same' };
}

/** The outcome for a difference. */
export function different(difference: Difference): Replay {
  return { outcome: 'different', difference };
}

/**
 * The first place where two JSON values differ, in the order of canonical JSON; null if their canonical forms are equal.
 *
 * @see RFC 8785 for the order, RFC 6901 for the pointer
 */
export function firstDifference(recorded: unknown, replayed: unknown): Omit<Difference, 'part'> | null {
  return canonicalJson(recorded) === canonicalJson(replayed) ? null : descend(recorded, replayed, '');
}

function descend(recorded: unknown, replayed: unknown, pointer: string): Omit<Difference, 'part'> {
  if (isContainer(recorded) && isContainer(replayed) && Array.isArray(recorded) === Array.isArray(replayed)) {
    const names = new Set([...Object.keys(recorded), ...Object.keys(replayed)]);
    const inOrder = Array.isArray(recorded)
      ? [...names].sort((a, b) => Number(a) - Number(b))
      : [...names].sort();
    for (const name of inOrder) {
      const [one, other] = [memberOf(recorded, name), memberOf(replayed, name)];
      if (isSame(one, other)) continue;
      return descend(one, other, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    }
  }
  return { pointer, recorded, replayed };
}

type Container = Readonly<Record<string, unknown>>;

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

function memberOf(container: Container, name: string): unknown {
  return Object.hasOwn(container, name) ? container[name] : undefined;
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined) return one === other;
  return canonicalJson(one) === canonicalJson(other);
}
