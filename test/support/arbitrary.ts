import fc, { type Arbitrary } from 'fast-check';

/*
 * Values from JSON Schemas (draft 2020-12, as far as docs/openapi.json uses it), valid and almost valid. Knows nothing of
 * the schemas' source.
 */

/** A JSON Schema. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  propertyNames?: Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
}

/** Finds what a reference names. */
export type Resolve = (ref: string) => Schema;

/** The greatest length of generated texts and lists; longer ones only cost time. */
const LONG = 40;
const MANY = 3;
/** The depth at which a schema that refers to itself ends. */
const MAX_DEPTH = 12;

/** Values that the schema accepts. */
export function arbitraryOf(schema: Schema, resolve: Resolve, depth = 0): Arbitrary<unknown> {
  const inner = (part: Schema) => arbitraryOf(part, resolve, depth + 1);
  // Only the schema of any JSON refers to itself.
  if (schema.$ref !== undefined) return depth > MAX_DEPTH ? fc.constant(null) : inner(resolve(schema.$ref));
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map(inner));
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type) => inner({ ...schema, type })));
  switch (schema.type) {
    case 'string':
      return textOf(schema);
    case 'integer':
      return fc.integer(rangeOf(schema));
    case 'number': {
      const { min, max } = rangeOf(schema);
      return fc.integer({ min: Math.ceil(min), max: Math.floor(max) });
    }
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const minLength = schema.minItems ?? 0;
      const maxLength = Math.max(minLength, Math.min(schema.maxItems ?? MANY, MANY));
      return fc.array(inner(schema.items ?? {}), { minLength, maxLength });
    }
    case 'object':
      return objectOf(schema, inner);
    default:
      return depth > 6 ? fc.constant(null) : fc.jsonValue({ maxDepth: 2 });
  }
}

function rangeOf({ minimum, maximum, exclusiveMinimum }: Schema): { min: number; max: number } {
  const min = minimum ?? (exclusiveMinimum === undefined ? -1_000_000 : exclusiveMinimum + 1);
  return { min, max: Math.min(maximum ?? min + 2_000_000, Number.MAX_SAFE_INTEGER) };
}

function textOf({
  format,
  pattern,
  minLength = 0,
  maxLength = Number.POSITIVE_INFINITY,
}: Schema): Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  if (format === 'date-time') return dates().map((date) => date.toISOString());
  if (format === 'date') return dates().map((date) => date.toISOString().slice(0, 10));
  if (pattern !== undefined) {
    const accepted = new RegExp(pattern);
    // The generator of texts for a pattern has no look-around; those patterns accept nearly every text.
    const texts = /\(\?[=!<]/.test(pattern)
      ? fc.string().filter((text) => accepted.test(text))
      : fc.stringMatching(accepted);
    return texts.filter((text) => text.length >= minLength && text.length <= maxLength);
  }
  const length = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, LONG)) };
  return fc.oneof(fc.string(length), fc.string({ ...length, unit: 'grapheme-ascii' }));
}

function dates(): Arbitrary<Date> {
  return fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true });
}

function objectOf(
  { properties = {}, required = [], additionalProperties, propertyNames }: Schema,
  inner: (part: Schema) => Arbitrary<unknown>,
): Arbitrary<object> {
  const members = Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, inner(part)]));
  const requiredKeys = required.filter((name) => name in members);
  const named = fc.record(members, { requiredKeys, noNullPrototype: true });
  if (typeof additionalProperties !== 'object' || Object.keys(additionalProperties).length === 0)
    return named;
  const names =
    propertyNames === undefined ? fc.string({ minLength: 1, maxLength: 10 }) : inner(propertyNames);
  const others = fc.dictionary(names as Arbitrary<string>, inner(additionalProperties), {
    maxKeys: MANY,
    noNullPrototype: true,
  });
  return fc.tuple(others, named).map(([some, own]) => ({ ...some, ...own }));
}

/** What an almost valid value has in place of one of its parts. */
const STRANGE: readonly unknown[] = [
  null,
  '',
  ' ',
  'a\u0000b',
  '\ud800',
  '\u202e',
  'x'.repeat(5000),
  0,
  -1,
  1.5,
  Number.MAX_SAFE_INTEGER,
  1e308,
  true,
  false,
  [],
  [[]],
  {},
  { unknown: 1 },
  ['a', 'a'],
  '2026-02-30T00:00:00Z',
  '__proto__',
];

/** The valid value with one fault: a member added, taken away or replaced, somewhere. */
export function almost(valid: Arbitrary<unknown>): Arbitrary<unknown> {
  return fc
    .tuple(valid, fc.nat(), fc.constantFrom('replace', 'remove', 'add'), fc.constantFrom(...STRANGE))
    .map(([value, at, how, strange]) => {
      const copy: Members = { root: structuredClone(value) };
      const places = placesIn(copy);
      const { parent, name } = places[at % places.length] ?? { parent: copy, name: 'root' };
      const part = parent[name];
      if (how === 'add' && typeof part === 'object' && part !== null && !Array.isArray(part)) {
        (part as Record<string, unknown>).unexpected = strange;
      } else if (how === 'remove' && parent !== copy) {
        delete parent[name];
      } else parent[name] = strange;
      return copy.root;
    });
}

type Members = Record<string, unknown>;

function placesIn(value: Members): { parent: Members; name: string }[] {
  return Object.keys(value).flatMap((name) => {
    const part = value[name];
    const deeper = typeof part === 'object' && part !== null ? placesIn(part as Members) : [];
    return [{ parent: value, name }, ...deeper];
  });
}
