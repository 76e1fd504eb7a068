import { z } from 'zod';

/** Whether a value is certainly valid. False says nothing: then the schema itself decides. */
export type Check = (value: unknown) => boolean;

/** A JSON Schema, as far as the schemas of input documents need it. */
interface JsonSchema {
  $ref?: string;
  definitions?: Record<string, JsonSchema>;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

/** The members of a schema that this file knows for every value, or that check nothing. */
const OF_ALL: readonly string[] = [
  ...['$ref', 'definitions', 'type', 'const', 'enum', 'anyOf', 'oneOf', 'allOf'],
  ...['$schema', 'id', 'description'],
];

/** The members that it knows besides, by the type of values that they are about. */
const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  null: [],
  boolean: [],
  string: ['minLength', 'maxLength'],
  number: ['minimum', 'maximum'],
  integer: ['minimum', 'maximum'],
  array: ['items', 'minItems', 'maxItems'],
  object: ['properties', 'required', 'additionalProperties', 'propertyNames'],
};

/** The checks of zod that its JSON Schema expresses in full. */
const EXPRESSED: ReadonlySet<string> = new Set([
  'min_length',
  'max_length',
  'greater_than',
  'less_than',
  'number_format',
]);

/** Finds what a reference names. */
type Resolve = (ref: string) => Check;

/**
 * A check that accepts only what the schema accepts, without the copy that zod makes of each object: an input document
 * takes a quarter of the time. It is compiled at the first use, in about a millisecond; compilers of JSON Schema, such as
 * ajv, write and compile code for a tenth of a second at each start.
 *
 * @throws Error at the first use, for a schema with something that it does not know
 */
export function checkOf(schema: z.ZodType): Check {
  let check: Check | undefined;
  return (value) => {
    check ??= compileAll(schema);
    return check(value);
  };
}

function compileAll(schema: z.ZodType): Check {
  const whole = z.toJSONSchema(schema, {
    target: 'draft-7',
    override: ({ zodSchema }) => assertExpressed(zodSchema),
  }) as JsonSchema;
  const named = new Map<string, Check>();
  const resolve: Resolve = (ref) => (value) => named.get(ref)?.(value) === true;
  for (const [name, part] of Object.entries(whole.definitions ?? {}))
    named.set(`#/definitions/${name}`, compile(part, resolve));
  return compile(whole, resolve);
}

/** What a refinement checks is not in the JSON Schema. */
function assertExpressed({ _zod }: z.core.$ZodTypes): void {
  const others = (_zod.def.checks ?? []).filter(({ _zod: { def } }) => !EXPRESSED.has(def.check));
  if (others.length === 0) return;
  throw new Error(`JSON Schema does not express ${others.map((other) => other._zod.def.check).join(', ')}`);
}

function compile(schema: JsonSchema, resolve: Resolve): Check {
  const types = [schema.type ?? []].flat();
  const known = new Set([...OF_ALL, ...types.flatMap((type) => OF_TYPE[type] ?? [])]);
  const unknown = Object.keys(schema).filter((member) => !known.has(member));
  if (unknown.length > 0) throw new Error(`cannot check ${unknown.join(', ')}`);
  return every(
    [
      schema.$ref === undefined ? [] : [resolve(schema.$ref)],
      'const' in schema ? [isConst(schema.const)] : [],
      schema.enum === undefined ? [] : [isOneOf(schema.enum)],
      schema.anyOf === undefined ? [] : [any(schema.anyOf.map((part) => compile(part, resolve)))],
      schema.oneOf === undefined ? [] : [one(schema.oneOf.map((part) => compile(part, resolve)))],
      (schema.allOf ?? []).map((part) => compile(part, resolve)),
      types.length === 0 ? [] : [any(types.map((type) => ofType(type, schema, resolve)))],
    ].flat(),
  );
}

/** What a schema says of values of one type. */
function ofType(type: string, schema: JsonSchema, resolve: Resolve): Check {
  const { minLength = 0, maxLength = Infinity, minimum = -Infinity, maximum = Infinity } = schema;
  switch (type) {
    case 'null':
      return (value) => value === null;
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'string':
      // Units of UTF-16, as zod counts them.
      return (value) => typeof value === 'string' && value.length >= minLength && value.length <= maxLength;
    case 'number':
      return (value) =>
        Number.isFinite(value) && (value as number) >= minimum && (value as number) <= maximum;
    case 'integer':
      return (value) =>
        Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
    case 'array':
      return isList(schema, resolve);
    case 'object':
      return isObject(schema, resolve);
    default:
      throw new Error(`cannot check the type ${type}`);
  }
}

function isList({ items, minItems = 0, maxItems = Infinity }: JsonSchema, resolve: Resolve): Check {
  const each = compile(items ?? {}, resolve);
  return (value) => {
    if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) return false;
    for (const item of value) if (!each(item)) return false;
    return true;
  };
}

function isObject(schema: JsonSchema, resolve: Resolve): Check {
  const { properties = {}, required = [], additionalProperties = true, propertyNames = {} } = schema;
  const known = new Map(Object.entries(properties).map(([name, part]) => [name, compile(part, resolve)]));
  const isName = compile(propertyNames, resolve);
  const other =
    typeof additionalProperties === 'boolean'
      ? () => additionalProperties
      : compile(additionalProperties, resolve);
  return (value) => {
    if (!isPlainObject(value)) return false;
    for (const name of required) if (value[name] === undefined) return false;
    for (const name in value) {
      // JSON omits what is undefined.
      if (value[name] === undefined && known.has(name)) continue;
      const check = known.get(name);
      if (check === undefined ? !isName(name) || !other(value[name]) : !check(value[name])) return false;
    }
    return true;
  };
}

/** Objects of a class may have a JSON form of their own. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isConst(wanted: unknown): Check {
  if (typeof wanted === 'object' && wanted !== null) throw new Error('cannot check a constant object');
  return (value) => value === wanted;
}

function isOneOf(wanted: readonly unknown[]): Check {
  wanted.forEach(isConst);
  const values = new Set(wanted);
  return (value) => values.has(value);
}

function every(checks: readonly Check[]): Check {
  const [only] = checks;
  if (checks.length === 1 && only !== undefined) return only;
  return (value) => {
    for (const check of checks) if (!check(value)) return false;
    return true;
  };
}

function any(checks: readonly Check[]): Check {
  const [only] = checks;
  if (checks.length === 1 && only !== undefined) return only;
  return (value) => {
    for (const check of checks) if (check(value)) return true;
    return false;
  };
}

function one(checks: readonly Check[]): Check {
  return (value) => checks.filter((check) => check(value)).length === 1;
}
