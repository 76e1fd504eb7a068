import { hash } from 'node:crypto';
import { bulkTag, type ContextualPart, contextualPart, exceptionsOver, fixedPart } from './answers.ts';
import type { EvaluationContext } from './conditions.ts';
import { type ContextFault, readContext } from './context.ts';
import type { View } from './view.ts';

/** The maximum number of bodies of each view whose tag is remembered. */
const MAX_TAGS = 4096;

/** The maximum size of remembered parts of answers, for all views together, in bytes. */
const MAX_PART_BYTES = 16 * 1024 * 1024;

/** What one of them takes besides its text, about. */
const ENTRY_BYTES = 256;
const POINTER_BYTES = 8;

/** A request for all flags of a view. */
export interface BulkQuestion {
  readonly view: View;
  readonly body: Buffer | null;
  readonly nowMs: number;
  /** The tag of the answer. */
  readonly tag: string;
  /** Null if the body was not read, because its tag is known. */
  readonly context: EvaluationContext | null;
}

/** A bulk response: a part that all requests share, and one for the context. */
export interface BulkAnswer {
  readonly fixed: Buffer;
  readonly rest: ContextualPart;
}

/** Answers requests for all flags, and remembers what it can answer again without reading the context. */
export interface BulkAnswers {
  /** The tag for a body: for one that was asked before, a hash and a look-up. */
  ask(view: View, body: Buffer | null, nowMs: number): BulkQuestion | { fault: ContextFault };
  answer(question: BulkQuestion): BulkAnswer;
}

interface KnownTag {
  over: number;
  tag: string;
}

/**
 * Creates the answers for one listener. Bodies are remembered by hash, because contexts are about persons: what they say
 * is not kept. Equal bodies are equal contexts, and a tag covers everything that its answer depends on, so a remembered
 * answer is the one that an evaluation would give.
 */
export function createBulkAnswers(): BulkAnswers {
  const tagsByView = new WeakMap<View, Map<string, KnownTag>>();
  const parts = createPartMemory();

  function tagsOf(view: View): Map<string, KnownTag> {
    let tags = tagsByView.get(view);
    if (tags === undefined) {
      tags = new Map();
      tagsByView.set(view, tags);
    }
    return tags;
  }

  return {
    ask(view, body, nowMs) {
      const tags = tagsOf(view);
      const over = exceptionsOver(view, nowMs);
      const bodyHash = body === null ? '' : hash('sha256', body, 'binary');
      const known = tags.get(bodyHash);
      if (known?.over === over) return { view, body, nowMs, tag: known.tag, context: null };
      const read = readContext(body);
      if ('fault' in read) return read;
      const tag = bulkTag(view, read.context, over);
      if (tags.size >= MAX_TAGS) dropOldest(tags);
      tags.set(bodyHash, { over, tag });
      return { view, body, nowMs, tag, context: read.context };
    },
    answer({ view, body, nowMs, tag, context }) {
      let rest = parts.find(tag);
      if (rest === undefined) {
        rest = contextualPart(view, context ?? contextOf(body), nowMs);
        parts.keep(tag, rest);
      }
      return { fixed: fixedPart(view), rest };
    },
  };
}

/** Of a body that was read before. */
function contextOf(body: Buffer | null): EvaluationContext {
  const read = readContext(body);
  if ('fault' in read) throw new Error('a body with a tag has a fault');
  return read.context;
}

function dropOldest(entries: Map<string, unknown>): void {
  const { value } = entries.keys().next();
  if (value !== undefined) entries.delete(value);
}

/** Remembers parts of answers by tag, up to a size. The oldest are dropped first: most are of earlier versions. */
function createPartMemory() {
  const parts = new Map<string, ContextualPart>();
  let bytes = 0;
  return {
    find: (tag: string) => parts.get(tag),
    keep(tag: string, part: ContextualPart): void {
      parts.set(tag, part);
      bytes += sizeOf(part);
      for (const [oldest, dropped] of parts) {
        if (bytes <= MAX_PART_BYTES) return;
        parts.delete(oldest);
        bytes -= sizeOf(dropped);
      }
    },
  };
}

function sizeOf({ bytes, evaluated }: ContextualPart): number {
  return bytes + POINTER_BYTES * evaluated.length + ENTRY_BYTES;
}
