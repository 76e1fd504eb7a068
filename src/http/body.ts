import type { z } from 'zod';
import { BrokerError, type FieldFault } from '../errors.ts';
import { nearestOf, unknownWord } from '../unknown-name.ts';

/** The maximum nesting depth of a JSON body. */
export const MAX_DEPTH = 32;

/**
 * Parses an external value into its typed form, once, at the edge.
 *
 * @throws BrokerError `invalid_request` with every fault and its location
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what = 'The body'): T {
  assertPlain(value);
  const parsed = schema.safeParse(value, { error: describeKeys, reportInput: true });
  if (parsed.success) return parsed.data;
  throw new BrokerError('invalid_request', `${what} does not have the expected shape.`, {
    errors: parsed.error.issues.flatMap((issue) => toFaults(issue)).slice(0, 50),
  });
}

type Issue = z.core.$ZodIssue;

/** Of unknown members, a line each: only here is it known which members there are. */
function describeKeys(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'unrecognized_keys') return undefined;
  const { shape = {} } = (issue.inst as z.core.$ZodObject | undefined)?._zod.def ?? {};
  return issue.keys.map((key) => unknownWord('member', key, Object.keys(shape))).join('\n');
}

function toFaults(issue: Issue): FieldFault[] {
  const { path } = issue;
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    return faultsOfUnion(issue.errors).flatMap((inner) =>
      toFaults({ ...inner, path: [...path, ...inner.path] }),
    );
  }
  if (issue.code === 'unrecognized_keys') {
    const lines = issue.message.split('\n');
    return issue.keys.map((key, index) => ({
      pointer: toPointer([...path, key]),
      detail: lines[index] ?? issue.message,
    }));
  }
  return [{ pointer: toPointer(path), detail: wordDetail(issue) ?? issue.message }];
}

/** What is said of a word that is none of a fixed list; undefined for other faults. */
function wordDetail(issue: Issue): string | undefined {
  const { given, words } = wordOf(issue) ?? {};
  return given === undefined || words === undefined ? undefined : unknownWord('value', given, words, true);
}

function wordOf(issue: Issue): { given: string; words: string[] } | null {
  let { input } = issue;
  let values: readonly unknown[] = [];
  if (issue.code === 'invalid_value') values = issue.values;
  if (issue.code === 'invalid_union' && 'options' in issue && issue.discriminator !== undefined) {
    values = issue.options ?? [];
    input = (input as Record<string, unknown> | null)?.[issue.discriminator];
  }
  const words = values.filter((value) => typeof value === 'string');
  return typeof input === 'string' && words.length > 0 ? { given: input, words } : null;
}

/** More than the issues of any alternative. */
const MAX_ISSUES = 1000;

/** Whether a value as a whole is of another type, or no word like the expected ones. */
function isFarOff(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  const { given, words } = wordOf(issue) ?? {};
  if (given === undefined || words === undefined) return issue.code === 'invalid_type';
  return nearestOf(given, words) === undefined;
}

/**
 * The faults of the alternative that the caller most likely meant: of the expected type, with the fewest faults. If a word
 * picks the alternative and fits none, that word alone is the fault.
 */
function faultsOfUnion(alternatives: readonly (readonly Issue[])[]): readonly Issue[] {
  const [first = [], ...others] = alternatives;
  for (const issue of first) {
    const same = others.map((other) =>
      other.find(({ path, code }) => code === issue.code && toPointer(path) === toPointer(issue.path)),
    );
    const all = [issue, ...same].filter((each) => each?.code === 'invalid_value');
    if (all.length < alternatives.length) continue;
    return [{ ...issue, values: all.flatMap(({ values }) => values) } as Issue];
  }
  const cost = (issues: readonly Issue[]) => issues.length + (issues.some(isFarOff) ? MAX_ISSUES : 0);
  return alternatives.toSorted((one, other) => cost(one) - cost(other))[0] ?? [];
}

/** RFC 6901 in URI fragment form. */
function toPointer(path: readonly PropertyKey[]): string {
  const parts = path.map(
    (part) => `/${encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))}`,
  );
  return `#${parts.join('')}`;
}

/** Refuses what schemas do not check: keys that could reach a prototype, and nesting that could exhaust the stack. */
function assertPlain(root: unknown): void {
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { value, depth } = item;
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= MAX_DEPTH) {
      throw new BrokerError('invalid_request', `The body must not nest deeper than ${MAX_DEPTH} levels.`);
    }
    for (const key of Object.keys(value)) {
      if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
        throw new BrokerError('invalid_request', `"${key}" is not allowed as a key.`);
      }
      stack.push({ value: (value as Record<string, unknown>)[key], depth: depth + 1 });
    }
  }
}
