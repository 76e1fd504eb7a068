import { createHash, hash } from 'node:crypto';
import { canonicalJson } from '../json.ts';
import { tagOfText } from '../strong-tag.ts';
import type { EvaluationContext } from './conditions.ts';
import {
  EVALUATOR_VERSION,
  type Evaluation,
  type EvaluationReason,
  evaluate,
  isContextFree,
} from './evaluate.ts';
import type { SnapshotFlag } from './snapshot.ts';
import type { View } from './view.ts';

/*
 * What is answered to evaluations, serialised as rarely as possible: each answer of a flag once, what no context changes
 * once for all flags, and the rest once for a context. All of it is released with the snapshot.
 */

/** What was evaluated: a flag, to a variant, and why. */
export interface Evaluated {
  readonly key: string;
  readonly namespace: string;
  readonly variant: string;
  readonly reason: EvaluationReason;
}

/** A serialised response for one flag. */
export interface OfrepAnswer extends Evaluated {
  readonly body: string;
  /** The body's length in bytes, as a header value. */
  readonly length: string;
  /** Whether each character is one byte. */
  readonly isAscii: boolean;
}

/** The part of a bulk response that depends on the context, up to the member behind which its object ends. */
export interface ContextualPart {
  readonly text: string;
  readonly bytes: number;
  /** Whether each character is one byte. */
  readonly isAscii: boolean;
  /** What it says of each flag. */
  readonly evaluated: readonly Evaluated[];
}

/** The parts that are the same for every bulk request on one view. */
interface BulkParts {
  readonly fixed: Buffer;
  /** What it says of each flag. */
  readonly fixedEvaluated: readonly Evaluated[];
  readonly contextual: readonly CompiledFlag[];
  readonly end: string;
  /** The sorted end times of exceptions. Each of them changes responses without a new version. */
  readonly exceptionEnds: readonly number[];
  /** The beginning of the text whose hash is a tag: everything but the context and the exceptions. */
  readonly tagged: string;
  /** The tag of what every reader of the view sees, and for how many exceptions that are over. */
  viewTag: { over: number; tag: string } | null;
}

/** A flag and its responses so far. They depend only on variant and reason, so there are few. */
interface CompiledFlag {
  readonly flag: SnapshotFlag;
  readonly answers: OfrepAnswer[];
}

const compiledFlags = new WeakMap<SnapshotFlag, CompiledFlag>();
const partsByView = new WeakMap<View, BulkParts>();
const digestsByFlag = new WeakMap<SnapshotFlag, string>();

function compiled(flag: SnapshotFlag): CompiledFlag {
  let known = compiledFlags.get(flag);
  if (known === undefined) {
    known = { flag, answers: [] };
    compiledFlags.set(flag, known);
  }
  return known;
}

function serialise(flag: SnapshotFlag, { value, variant, reason }: Evaluation): OfrepAnswer {
  const { key, namespace } = flag.definition;
  const body = JSON.stringify({ key, value, variant, reason, metadata: { version: flag.version } });
  const bytes = Buffer.byteLength(body);
  return { key, namespace, variant, reason, body, length: String(bytes), isAscii: bytes === body.length };
}

/**
 * The serialised response for one flag and one context.
 *
 * @see OFREP 0.3.0, `serverEvaluationSuccess`
 */
export function answerFor(flag: SnapshotFlag, context: EvaluationContext, nowMs: number): OfrepAnswer {
  return answerOf(compiled(flag), context, nowMs);
}

function answerOf({ flag, answers }: CompiledFlag, context: EvaluationContext, nowMs: number): OfrepAnswer {
  const { definition, state } = flag;
  const evaluation = evaluate({ definition, state, context, now_ms: nowMs });
  for (const answer of answers) {
    if (answer.variant === evaluation.variant && answer.reason === evaluation.reason) return answer;
  }
  const answer = serialise(flag, evaluation);
  answers.push(answer);
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

/** Computes what answers about a flag begin with, before anybody asks. */
export function prepareFlag(flag: SnapshotFlag): void {
  digestOfFlag(flag);
  if (isContextFree(flag.state)) answerFor(flag, {}, 0);
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
  const metadata = metadataOf(view);
  const fixed = flags.filter(({ state }) => isContextFree(state)).map((flag) => answerFor(flag, {}, 0));
  const contextual = flags.filter(({ state }) => !isContextFree(state)).map(compiled);
  const inputs = [EVALUATOR_VERSION, metadata, view.namespaces, digestOfFlags(flags)];
  const parts: BulkParts = {
    fixed: Buffer.from(`{"flags":[${fixed.map(({ body }) => body).join(',')}`),
    fixedEvaluated: fixed,
    contextual,
    end: `],"metadata":${JSON.stringify(metadata)}`,
    exceptionEnds: exceptionEndsOf(view),
    tagged: `[${inputs.map(canonicalJson).join(',')},`,
    viewTag: null,
  };
  partsByView.set(view, parts);
  return parts;
}

/**
 * The response for all flags of a view begins with this for every context, and goes on with {@link contextualPart}.
 *
 * @see OFREP 0.3.0, `bulkEvaluationSuccess`
 */
export function fixedPart(view: View): Buffer {
  return partsOf(view).fixed;
}

/** What {@link fixedPart} says of each flag. */
export function fixedEvaluated(view: View): readonly Evaluated[] {
  return partsOf(view).fixedEvaluated;
}

/** The rest of the response for all flags of a view, for one context. */
export function contextualPart(view: View, context: EvaluationContext, nowMs: number): ContextualPart {
  const { fixedEvaluated: fixed, contextual, end } = partsOf(view);
  const evaluated: OfrepAnswer[] = [];
  let text = '';
  for (const flag of contextual) {
    if (fixed.length > 0 || text !== '') text += ',';
    const answer = answerOf(flag, context, nowMs);
    text += answer.body;
    evaluated.push(answer);
  }
  text += end;
  const bytes = Buffer.byteLength(text);
  return { text, bytes, isAscii: bytes === text.length, evaluated };
}

/**
 * How many of the exceptions in a view are over. Between two moments with the same number, a context gets the same
 * response.
 */
export function exceptionsOver(view: View, nowMs: number): number {
  const { exceptionEnds } = partsOf(view);
  const running = exceptionEnds.findIndex((endMs) => endMs > nowMs);
  return running === -1 ? exceptionEnds.length : running;
}

/**
 * A tag over what readers of a view can see, for any context: the inputs of {@link bulkTag} without one. It is the same on
 * every replica.
 */
export function viewTag(view: View, nowMs: number): string {
  const parts = partsOf(view);
  const over = exceptionsOver(view, nowMs);
  if (parts.viewTag?.over !== over) {
    parts.viewTag = { over, tag: hash('sha256', `${parts.tagged}${over}]`, 'base64url') };
  }
  return parts.viewTag.tag;
}

/**
 * A strong ETag over all inputs of the bulk response: metadata, namespaces, the content of the flags, evaluator, context,
 * and which exceptions have expired. Equal inputs have equal tags on every replica, and computing one requires no
 * evaluation.
 *
 * @param over {@link exceptionsOver}
 */
export function bulkTag(view: View, context: EvaluationContext, over: number): string {
  return tagOfText(`${partsOf(view).tagged}${over},${canonicalJson(context)}]`);
}
