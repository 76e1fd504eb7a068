import { isUtf8 } from 'node:buffer';
import { isPrototypeName } from '../flags/names.ts';
import { parseWithUnknownNumbers } from '../json-numbers.ts';
import type { EvaluationContext } from './conditions.ts';
import { hasNeedlessEscapeInName } from './escaped-names.ts';

/** An invalid request body, in OFREP's terms. */
export interface ContextFault {
  errorCode: 'PARSE_ERROR' | 'INVALID_CONTEXT';
  errorDetails: string;
}

/** The maximum nesting depth of a context. */
const MAX_DEPTH = 32;

const EMPTY: EvaluationContext = Object.freeze({});

/** A valid context, or its fault. */
export type ReadContext = { context: EvaluationContext } | { fault: ContextFault };

function invalidContext(errorDetails: string): ReadContext {
  return { fault: { errorCode: 'INVALID_CONTEXT', errorDetails } };
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True when the value nests too deeply, or has a member name that could reach a prototype. */
function isHostile(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth > MAX_DEPTH) return true;
  if (Array.isArray(value)) return value.some((item) => isHostile(item, depth + 1));
  for (const name of Object.keys(value)) {
    if (isPrototypeName(name)) return true;
    if (isHostile((value as Record<string, unknown>)[name], depth + 1)) return true;
  }
  return false;
}

function isMalformed(value: unknown): boolean {
  return typeof value === 'string' && !value.isWellFormed();
}

/**
 * The value without malformed Unicode, which has no canonical form: such a string becomes null, which no rule matches,
 * and a member with such a name is left out. Flags that do not use it evaluate as without it.
 */
function withoutMalformed(value: unknown): unknown {
  if (isMalformed(value)) return null;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutMalformed);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !isMalformed(name))
      .map(([name, member]) => [name, withoutMalformed(member)]),
  );
}

function parseJson(text: string): unknown {
  try {
    return parseWithUnknownNumbers(text);
  } catch {
    return undefined;
  }
}

function checkContext(context: unknown): ReadContext {
  if (context === undefined) return { context: EMPTY };
  if (!isPlainObject(context)) return invalidContext('Send the context as a JSON object.');
  if (isHostile(context, 1)) {
    return invalidContext(
      `The context must nest at most ${MAX_DEPTH} levels, and have no members named __proto__, constructor or prototype.`,
    );
  }
  const { targetingKey } = context;
  if (targetingKey !== undefined && typeof targetingKey !== 'string') {
    return invalidContext('Send targetingKey as a string, or omit it.');
  }
  return { context };
}

/**
 * Parses the evaluation context of an OFREP request body, or returns its fault. Never throws. A missing body or context
 * is valid and means an empty context. A number that a double cannot hold becomes null, which no rule matches: a rounded
 * one could match a rule for its neighbour. So does a string with malformed Unicode.
 *
 * @see OFREP 0.3.0, `evaluationRequest`
 */
export function readContext(body: Buffer | null): ReadContext {
  if (body === null || body.length === 0) return { context: EMPTY };
  if (hasNeedlessEscapeInName(body)) {
    return invalidContext('Do not use \\u escapes for letters, digits, _ or - in member names.');
  }
  const text = isUtf8(body) ? body.toString('utf8') : '';
  const parsed = parseJson(text);
  if (!isPlainObject(parsed)) {
    return {
      fault: { errorCode: 'PARSE_ERROR', errorDetails: 'Send a JSON object in UTF-8, {"context": {…}}.' },
    };
  }
  const { context } = parsed;
  const checked = checkContext(context);
  // In UTF-8, only an escape can write half of a pair.
  return 'context' in checked && text.includes('\\u')
    ? { context: withoutMalformed(checked.context) as EvaluationContext }
    : checked;
}
