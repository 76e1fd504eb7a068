import { createHash, hash } from 'node:crypto';
import { strongTag } from '../strong-tag.ts';
import type { EvaluationContext } from './conditions.ts';
import { EVALUATOR_VERSION, type Evaluation, evaluate, isContextFree } from './evaluate.ts';
import type { SnapshotFlag } from './snapshot.ts';
import type { View } from './view.ts';

/** A serialised OFREP response and its length in bytes, as a header value. */
export interface OfrepAnswer {
  readonly body: string;
  readonly length: string;
}

/** A bulk response in two parts: `fixed` is the same for every context and shared by all requests. */
export interface BulkAnswer {
  readonly fixed: Buffer;
  readonly rest: string;
  readonly length: string;
}

/** The parts that are the same for every bulk request on one view. */
interface BulkParts {
  readonly fixed: Buffer;
  readonly hasFixed: boolean;
  readonly contextual: readonly SnapshotFlag[];
  readonly end: string;
  /** The sorted end times of exceptions. Each of them changes responses without a new version. */
  readonly exceptionEnds: readonly number[];
  /** Covers the definition, the state and the version of each flag. */
  readonly digest: string;
}

// A response depends only on the flag, the variant and the reason, so each flag has only a few. They are released with
// the flag.
const answersByFlag = new WeakMap<SnapshotFlag, Map<string, OfrepAnswer>>();
const partsByView = new WeakMap<View, BulkParts>();
const digestsByFlag = new WeakMap<SnapshotFlag, string>();

function serialise(flag: SnapshotFlag, { value, variant, reason }: Evaluation): OfrepAnswer {
  const { key } = flag.definition;
  const body = JSON.stringify({ key, value, variant, reason, metadata: { version: flag.version } });
  return { body, length: String(Buffer.byteLength(body)) };
}

/**
 * The serialised response for one flag and one context.
 *
 * @see OFREP 0.3.0, `serverEvaluationSuccess`
 */
export function answerFor(flag: SnapshotFlag, context: EvaluationContext, nowMs: number): OfrepAnswer {
  const evaluation = evaluate({ definition: flag.definition, state: flag.state, context, now_ms: nowMs });
  let answers = answersByFlag.get(flag);
  if (answers === undefined) {
    answers = new Map();
    answersByFlag.set(flag, answers);
  }
  const name = `${evaluation.reason} ${evaluation.variant}`;
  let answer = answers.get(name);
  if (answer === undefined) {
    answer = serialise(flag, evaluation);
    answers.set(name, answer);
  }
  return answer;
}

/** Computed once per flag, because a commit changes only some of an environment's flags. */
function digestOfFlag(flag: SnapshotFlag): string {
  let digest = digestsByFlag.get(flag);
  if (digest === undefined) {
    digest = hash('sha256', JSON.stringify([flag.definition, flag.state, flag.version]), 'base64url');
    digestsByFlag.set(flag, digest);
  }
  return digest;
}

function digestOfFlags(flags: readonly SnapshotFlag[]): string {
  const digests = createHash('sha256');
  for (const flag of flags) digests.update(digestOfFlag(flag));
  return digests.digest('base64url');
}

function exceptionEndsOf(view: View): number[] {
  const ends = [...view.flags.values()].flatMap(({ state: { audience } }) =>
    audience.kind === 'some' ? audience.users.map(({ exception }) => exception.until_ms) : [],
  );
  return [...new Set(ends)].sort((one, other) => one - other);
}

/** The version counts the commits of every namespace, so only readers of all of them see it. */
function metadataOf({ environment, namespaces, version }: View): Record<string, unknown> {
  return namespaces.includes('*') ? { environment, version } : { environment };
}

function partsOf(view: View): BulkParts {
  const known = partsByView.get(view);
  if (known !== undefined) return known;
  const flags = [...view.flags.values()];
  const fixed = flags.filter(({ state }) => isContextFree(state)).map((flag) => answerFor(flag, {}, 0).body);
  const parts: BulkParts = {
    fixed: Buffer.from(`{"flags":[${fixed.join(',')}`),
    hasFixed: fixed.length > 0,
    contextual: flags.filter(({ state }) => !isContextFree(state)),
    end: `],"metadata":${JSON.stringify(metadataOf(view))}}`,
    exceptionEnds: exceptionEndsOf(view),
    digest: digestOfFlags(flags),
  };
  partsByView.set(view, parts);
  return parts;
}

/**
 * The response for all flags of a view and one context.
 *
 * @see OFREP 0.3.0, `bulkEvaluationSuccess`
 */
export function bulkAnswerFor(view: View, context: EvaluationContext, nowMs: number): BulkAnswer {
  const { fixed, hasFixed, contextual, end } = partsOf(view);
  let rest = '';
  for (const flag of contextual) {
    if (hasFixed || rest !== '') rest += ',';
    rest += answerFor(flag, context, nowMs).body;
  }
  rest += end;
  return { fixed, rest, length: String(fixed.length + Buffer.byteLength(rest)) };
}

/**
 * A strong ETag over all inputs of the bulk response: metadata, namespaces, the content of the flags, evaluator, context,
 * and which exceptions have expired. Equal inputs have equal tags on every replica, and computing one requires no
 * evaluation.
 */
export function bulkTag(view: View, context: EvaluationContext, nowMs: number): string {
  const { exceptionEnds, digest } = partsOf(view);
  const running = exceptionEnds.findIndex((endMs) => endMs > nowMs);
  const over = running === -1 ? exceptionEnds.length : running;
  return strongTag([EVALUATOR_VERSION, metadataOf(view), view.namespaces, digest, over, context]);
}
