import { hash } from 'node:crypto';
import { canonicalJson } from '../json.ts';
import type { EvaluationContext } from './conditions.ts';
import { EVALUATOR_VERSION, type Evaluation, evaluate, isContextFree } from './evaluate.ts';
import type { Snapshot, SnapshotFlag } from './snapshot.ts';

/** A serialised OFREP answer and its length in bytes, as a header value. */
export interface Answer {
  readonly body: string;
  readonly length: string;
}

/** A bulk answer in two parts: `fixed` is the same for every context and shared by all requests. */
export interface BulkAnswer {
  readonly fixed: Buffer;
  readonly rest: string;
  readonly length: string;
}

/** What is the same for every bulk request on one snapshot. */
interface BulkParts {
  readonly fixed: Buffer;
  readonly hasFixed: boolean;
  readonly contextual: readonly SnapshotFlag[];
  readonly end: string;
  /** When exceptions end, sorted: each such moment changes answers without a new version. */
  readonly exceptionEnds: readonly number[];
}

// An answer depends on the flag, the variant and the reason only, so there are a handful for each flag. They go with the snapshot.
const answersByFlag = new WeakMap<SnapshotFlag, Map<string, Answer>>();
const partsBySnapshot = new WeakMap<Snapshot, BulkParts>();

function serialise(flag: SnapshotFlag, { value, variant, reason }: Evaluation): Answer {
  const { key } = flag.definition;
  const body = JSON.stringify({ key, value, variant, reason, metadata: { version: flag.version } });
  return { body, length: String(Buffer.byteLength(body)) };
}

/**
 * The serialised answer to one flag for one context.
 *
 * @see OFREP 0.3.0, `serverEvaluationSuccess`
 */
export function answerFor(flag: SnapshotFlag, context: EvaluationContext, nowMs: number): Answer {
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

function exceptionEndsOf(snapshot: Snapshot): number[] {
  const ends = [...snapshot.flags.values()].flatMap(({ state: { audience } }) =>
    audience.kind === 'some' ? audience.users.map(({ exception }) => exception.until_ms) : [],
  );
  return [...new Set(ends)].sort((one, other) => one - other);
}

function partsOf(snapshot: Snapshot): BulkParts {
  const known = partsBySnapshot.get(snapshot);
  if (known !== undefined) return known;
  const flags = [...snapshot.flags.values()];
  const fixed = flags.filter(({ state }) => isContextFree(state)).map((flag) => answerFor(flag, {}, 0).body);
  const { environment, version } = snapshot;
  const parts: BulkParts = {
    fixed: Buffer.from(`{"flags":[${fixed.join(',')}`),
    hasFixed: fixed.length > 0,
    contextual: flags.filter(({ state }) => !isContextFree(state)),
    end: `],"metadata":${JSON.stringify({ environment, version })}}`,
    exceptionEnds: exceptionEndsOf(snapshot),
  };
  partsBySnapshot.set(snapshot, parts);
  return parts;
}

/**
 * The answer to all flags of a snapshot for one context.
 *
 * @see OFREP 0.3.0, `bulkEvaluationSuccess`
 */
export function bulkAnswerFor(snapshot: Snapshot, context: EvaluationContext, nowMs: number): BulkAnswer {
  const { fixed, hasFixed, contextual, end } = partsOf(snapshot);
  let rest = '';
  for (const flag of contextual) {
    if (hasFixed || rest !== '') rest += ',';
    rest += answerFor(flag, context, nowMs).body;
  }
  rest += end;
  return { fixed, rest, length: String(fixed.length + Buffer.byteLength(rest)) };
}

/**
 * A strong ETag over all that the bulk answer depends on: environment, version, evaluator, context, and which
 * exceptions are over. Equal inputs have equal tags on every replica, and it takes no evaluation to know one.
 *
 * @see RFC 9110 8.8.3
 */
export function bulkTag(snapshot: Snapshot, context: EvaluationContext, nowMs: number): string {
  const { exceptionEnds } = partsOf(snapshot);
  const running = exceptionEnds.findIndex((endMs) => endMs > nowMs);
  const over = running === -1 ? exceptionEnds.length : running;
  const inputs = [EVALUATOR_VERSION, snapshot.environment, snapshot.version, over, context];
  return `"${hash('sha256', canonicalJson(inputs), 'base64url')}"`;
}

/**
 * True when an `If-None-Match` header names the tag. Compares weakly, as the header asks for.
 *
 * @see RFC 9110 13.1.2
 */
export function isNoneMatch(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header === tag || header === '*') return true;
  return header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === tag);
}
