import { z } from 'zod';
import { unknownWord } from './unknown-name.ts';

/** The most characters of a faulty value that are shown. */
const MAX_SHOWN = 80;

/** One fault of a document and the place it is at. */
export interface SchemaFault {
  path: readonly PropertyKey[];
  detail: string;
}

/** Describes the faults of a document written by people: the expected value at each place, and the actual one. */
export function describeFaults(
  schema: z.ZodType,
  document: unknown,
  { issues }: z.core.$ZodError,
): SchemaFault[] {
  return issues.flatMap((issue) => describeIssue(schema, issue, document));
}

/** A part of a JSON Schema: the expectation at one place. */
type Expected = z.core.JSONSchema.JSONSchema;

/** Converts a zod issue to the expected and the actual value. One issue may list several unknown keys. */
function describeIssue(schema: z.ZodType, issue: z.core.$ZodIssue, document: unknown): SchemaFault[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(expectedAt(schema, path)?.properties ?? {});
    return issue.keys.map((key) => ({ path: [...path, key], detail: unknownWord('key', key, known) }));
  }
  if (issue.code === 'invalid_key') {
    const reasons = issue.issues.map(({ message }) => message).join('; ');
    return [{ path, detail: `invalid name: ${reasons}` }];
  }
  const expected = expectedAt(schema, path);
  const wanted =
    issue.code === 'custom' || expected === undefined
      ? issue.message
      : `expected ${describeExpected(expected)}`;
  return [{ path, detail: `${wanted}; ${describeGiven(valueAt(document, path))}` }];
}

/** The part of a schema, as JSON Schema, that a place must match. */
export function expectedAt(schema: z.ZodType, path: readonly PropertyKey[]): Expected | undefined {
  let place: Expected | boolean | undefined = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  });
  for (const step of path) {
    if (typeof place !== 'object') return undefined;
    const { properties, additionalProperties, items }: Expected = place;
    place =
      typeof step === 'number'
        ? (items as Expected | undefined)
        : (properties?.[String(step)] ?? additionalProperties);
  }
  return typeof place === 'object' ? place : undefined;
}

/** Describes what the JSON Schema accepts at a place. */
function describeExpected({ type, ...expected }: Expected): string {
  if (expected.anyOf !== undefined) {
    return expected.anyOf.map((each) => describeExpected(each as Expected)).join(' or ');
  }
  if (expected.enum !== undefined) return `one of ${expected.enum.join(', ')}`;
  switch (type) {
    case 'string':
      if (expected.format === 'uri') return 'an http or https URL';
      return expected.pattern === undefined
        ? describeLength(expected)
        : `a string that matches ${expected.pattern}`;
    case 'integer':
    case 'number':
      return describeRange(expected);
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'array':
      return expected.minItems === undefined ? 'a list' : 'a non-empty list';
    default:
      return 'a mapping';
  }
}

function describeLength({ maxLength }: Expected): string {
  return maxLength === undefined ? 'a non-empty string' : `a string of 1 to ${maxLength} characters`;
}

function describeRange({ minimum, maximum }: Expected): string {
  // zod sets the largest safe integer where the schema sets no limit.
  return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
    ? `a whole number of at least ${minimum}`
    : `a whole number from ${minimum} to ${maximum}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  return valueAt((value as Record<PropertyKey, unknown>)[step], rest);
}

/** Describes the actual value. The part of a URL before its `@` may be a password, so it is omitted. */
function describeGiven(value: unknown): string {
  if (value === undefined) return 'it is missing';
  if (Array.isArray(value)) return `got a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'got a mapping';
  const shown = JSON.stringify(value).replace(/^("(?:[a-z]+:\/\/)?).*@/i, '$1…@');
  return `got ${shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown}`;
}
