import type { z } from 'zod';
import { BrokerError, type FieldFault } from '../errors.ts';

/** How deep a JSON body may nest. */
export const MAX_DEPTH = 32;

/**
 * Parses an outside value into its typed form, once, at the edge.
 *
 * @throws BrokerError `invalid_request` with every fault and where it is
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
    // Of several alternatives, the one with the fewest faults is what the caller most likely meant.
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

/** Refuses what no schema sees: keys that reach a prototype, and nesting that only serves to exhaust the stack. */
function assertPlain(root: unknown): void {
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { value, depth } = item;
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= MAX_DEPTH) {
      throw new BrokerError('invalid_request', `The body nests deeper than ${MAX_DEPTH} levels.`);
    }
    for (const key of Object.keys(value)) {
      if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
        throw new BrokerError('invalid_request', `"${key}" is not allowed as a key.`);
      }
      stack.push({ value: (value as Record<string, unknown>)[key], depth: depth + 1 });
    }
  }
}
