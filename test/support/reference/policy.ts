import { z } from 'zod';
import { inputChangeSchema } from '../../../src/flags/change-facts.ts';
import { OPERATIONS } from '../../../src/operations.ts';
import { obligationSchema, policyResultSchema } from '../../../src/policy/decision.ts';
import {
  inputFreezeSchema,
  inputRequestSchema,
  inputRevocationSchema,
  inputSchemaOf,
  voteSchema,
} from '../../../src/policy/input.ts';
import { principalSchema } from '../../../src/principal.ts';
import { REQUEST_KINDS } from '../../../src/requests/kinds/kinds.ts';
import { markdownTable } from './markdown.ts';
import { operationsTable } from './operations.ts';

type Json = z.core.JSONSchema.BaseSchema;

/** One member of a document, as the reference lists it. */
export interface Member {
  path: string;
  type: string;
  description: string | undefined;
}

/** Shapes that are listed once, by the heading of their section. */
const NAMED: readonly [string, z.ZodObject][] = [
  ['principal', principalSchema],
  ['vote', voteSchema],
  ['request', inputRequestSchema],
  ['change', inputChangeSchema],
  ['freeze', inputFreezeSchema],
  ['revocation', inputRevocationSchema],
];

function jsonOf(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { unrepresentable: 'any' }) as Json;
}

const headings = new Map(NAMED.map(([name, schema]) => [keyOf(jsonOf(schema)), name]));

/** Two schemas with the same members are one shape, whatever is said about them where they are used. */
function keyOf(schema: Json): string {
  return Object.keys(schema.properties ?? {})
    .toSorted()
    .join();
}

/** The members of a schema; those of a named shape are left to its own section. */
export function membersOf(schema: z.ZodObject): Member[] {
  return walk(jsonOf(schema), '');
}

function walk(schema: Json, prefix: string): Member[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const json = member as Json;
    const { core, isNull } = withoutNull(json);
    const path = `${prefix}${name}`;
    const type = [typeOf(core), ...(isNull ? ['null'] : []), ...(required.has(name) ? [] : ['absent'])].join(
      ' or ',
    );
    return [{ path, type, description: json.description ?? core.description }, ...inner(core, path)];
  });
}

function inner(schema: Json, path: string): Member[] {
  if (schema.properties !== undefined) {
    return headings.has(keyOf(schema)) ? [] : walk(schema, `${path}.`);
  }
  if (schema.type === 'array' && schema.items !== undefined) return inner(schema.items as Json, `${path}[]`);
  const values = schema.additionalProperties;
  return typeof values === 'object' ? inner(values as Json, `${path}.*`) : [];
}

function withoutNull(schema: Json): { core: Json; isNull: boolean } {
  if (Array.isArray(schema.type)) {
    const types = (schema.type as string[]).filter((type) => type !== 'null');
    const isNull = types.length < schema.type.length;
    return { core: { ...schema, type: types[0] as 'string' }, isNull };
  }
  const options = (schema.anyOf ?? schema.oneOf) as Json[] | undefined;
  if (options === undefined) return { core: schema, isNull: false };
  const others = options.filter(({ type }) => type !== 'null');
  const [only] = others;
  const core = others.length === 1 && only !== undefined ? only : { ...schema, anyOf: others };
  return { core, isNull: others.length < options.length };
}

function typeOf(schema: Json): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) {
    return schema.enum.length > 8 ? 'name' : schema.enum.map((value) => `\`${value}\``).join(', ');
  }
  const heading = headings.get(keyOf(schema));
  if (schema.properties !== undefined && heading !== undefined) return `[${heading}](#${heading})`;
  if (schema.type === 'array') return `list of ${typeOf((schema.items ?? {}) as Json)}`;
  const options = schema.anyOf as Json[] | undefined;
  if (options !== undefined) return [...new Set(options.map(typeOf))].join(' or ');
  return typeof schema.type === 'string' ? schema.type : 'any';
}

function table(members: readonly Member[]): string {
  const rows = members.map(({ path, type, description = '' }) => [`\`${path}\``, type, description]);
  return markdownTable(['member', 'type', 'is'], rows);
}

/** One section of the reference. */
interface Section {
  heading: string;
  /** What the whole is, or undefined. */
  text?: string | undefined;
  members: Member[];
}

/** The sections of the reference, in order. */
export function referenceSections(): Section[] {
  const objects = REQUEST_KINDS.flatMap(({ name, objectSchema }) =>
    objectSchema === null ? [] : [{ heading: `object of ${name}`, members: membersOf(objectSchema) }],
  );
  const obligations = obligationSchema.options.map((option) => ({
    heading: `obligation ${String(option.shape.kind.value)}`,
    text: option.description,
    members: membersOf(option),
  }));
  return [
    { heading: 'input', members: membersOf(inputSchemaOf(REQUEST_KINDS)) },
    ...NAMED.map(([heading, schema]) => ({ heading, members: membersOf(schema) })),
    ...objects,
    { heading: 'result', members: membersOf(policyResultSchema) },
    ...obligations,
  ];
}

/** The generated part of docs/policy-reference.md. */
export function policyReference(): string {
  const shapes = referenceSections().map(({ heading, text, members }) =>
    [`## ${heading}`, ...(text === undefined ? [] : [text]), table(members)].join('\n\n'),
  );
  return [...shapes, `## operations\n\n${operationsTable(OPERATIONS)}`].join('\n\n');
}
