import type { z } from 'zod';
import { BrokerError, type FieldFault } from '../errors.ts';

/** The maximum nesting depth of a JSON body. */
export const MAX_DEPTH = 32;

/**
 * Parses an external value into its typed form, once, at the edge.
 *
 * @throws BrokerError `invalid_request` with every fault and its location
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what = 'The body'): T {
  assertPlain(value);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BrokerError('invalid_request', `${what} does not have the expected shape.`, {
    errors: parsed.error.issues.flatMap(toFaults).slice(0, 50),
  });
}

function toFaults(issue: z.core.$ZodIssue, _place: number): FieldFault[] {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The alternative with the fewest faults is most likely the one that the caller meant.
    const nearest = issue.errors.toSorted((one, other) => one.length - other.length)[0] ?? [];
    return nearest.map((inner) => ({
      pointer: toPointer([...issue.path, ...inner.path]),
      detail: inner.message,
    }));
  }
  return [{ pointer: toPointer(issue.path), detail: issue.message }];
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
