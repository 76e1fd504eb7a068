/*
 * The part of an OpenAPI document that the reference shows. @see OpenAPI Specification 3.1.1
 */

/** A JSON Schema, as far as it is shown. */
export interface Schema {
  $ref?: string;
  type?: string | readonly string[];
  description?: string;
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  format?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  allOf?: readonly Schema[];
  'x-extensible-enum'?: readonly string[];
}

/** A parameter of a call. */
export interface Parameter {
  in: 'path' | 'query' | 'header';
  name: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface Body {
  description?: string;
  content?: Readonly<Record<string, { schema?: Schema }>>;
}

/** A call. */
export interface Operation {
  operationId: string;
  tags: readonly string[];
  summary: string;
  parameters?: readonly Parameter[];
  requestBody?: Body;
  responses: Readonly<Record<string, Body>>;
  security?: readonly unknown[];
  'x-policy-operations'?: readonly string[];
  'x-since'?: string;
}

/** The document. */
export interface ApiDocument {
  info: { title: string; version: string; description?: string };
  tags: readonly { name: string; description: string }[];
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  components: { schemas: Readonly<Record<string, Schema>> };
}

/** A call with where it is. */
export interface Call {
  method: string;
  path: string;
  operation: Operation;
}

/** Every call of a document, by tag, in the order of the document. */
export function callsByTag({
  tags,
  paths,
}: ApiDocument): { name: string; description: string; calls: Call[] }[] {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  return tags.map((tag) => ({
    ...tag,
    calls: calls.filter(({ operation }) => operation.tags[0] === tag.name),
  }));
}

/** Whether a call has every word of a search somewhere. */
export function isFound({ method, path, operation }: Call, text: string): boolean {
  const { operationId, summary, parameters = [], 'x-policy-operations': asked = [] } = operation;
  const names = parameters.map(({ name }) => name);
  const all = [
    method,
    path,
    operationId,
    summary,
    ...names,
    ...asked,
    ...problemsOf(operation).map(({ code }) => code),
  ]
    .join(' ')
    .toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** The schema that a reference means. */
export function resolved({ components }: ApiDocument, schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (components.schemas[nameOf(schema.$ref)] ?? {});
}

/** The name of a component. */
export function nameOf(ref: string): string {
  return ref.slice(ref.lastIndexOf('/') + 1);
}

/** The schema of the first content. */
export function contentOf(body: Body | undefined): { type: string; schema: Schema } | null {
  const [first] = Object.entries(body?.content ?? {});
  return first === undefined ? null : { type: first[0], schema: first[1].schema ?? {} };
}

/** The codes of the problems that a call may answer, with their status. */
export function problemsOf({ responses }: Operation): { status: string; code: string }[] {
  return Object.entries(responses).flatMap(([status, answer]) =>
    (contentOf(answer)?.schema.allOf ?? []).flatMap(({ properties }) =>
      (properties?.code?.['x-extensible-enum'] ?? []).map((code) => ({ status, code })),
    ),
  );
}

/** The type of a schema in a few words. */
export function typeInWords(schema: Schema): string {
  if (schema.$ref !== undefined) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) return choices.map(typeInWords).join(' | ');
  if (schema.items !== undefined) return `list of ${typeInWords(schema.items)}`;
  const type = typeof schema.type === 'string' ? schema.type : (schema.type ?? ['anything']).join(' | ');
  return schema.format === undefined ? type : `${type} (${schema.format})`;
}
