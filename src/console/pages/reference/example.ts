import { type ApiDocument, type Call, contentOf, resolved, type Schema } from './document.ts';

/*
 * Calls as they are typed in a shell. What has to be filled in is in capitals.
 */

/** How deep examples go: schemas may contain themselves. */
const DEEPEST = 5;

/** The call with curl. @param origin where the broker is */
export function curlOf(document: ApiDocument, { method, path, operation }: Call, origin: string): string {
  const { parameters = [], requestBody, security = [] } = operation;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
  const query = parameters
    .filter((each) => each.in === 'query' && each.required === true)
    .map(({ name }) => `${name}=${name.toUpperCase()}`)
    .join('&');
  const body = contentOf(requestBody);
  const lines = [
    `curl ${method === 'GET' ? '' : `-X ${method} `}'${origin}${filled}${query === '' ? '' : `?${query}`}'`,
    ...(security.length === 0 ? [] : [`-H "Authorization: Bearer $TOKEN"`]),
    ...(body === null ? [] : [`-H 'Content-Type: ${body.type}'`]),
    ...(body === null ? [] : [dataOf(document, body)]),
  ];
  return lines.join(' \\\n  ');
}

function dataOf(document: ApiDocument, { type, schema }: { type: string; schema: Schema }): string {
  if (!type.endsWith('json')) return type.includes('form') ? "-d 'NAME=VALUE'" : "--data-binary '@FILE'";
  const text = JSON.stringify(exampleOf(document, schema), null, 2);
  return `-d '${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A value that has the required members of a schema. */
export function exampleOf(document: ApiDocument, given: Schema, depth = 0): unknown {
  const schema = resolved(document, given);
  if (depth > DEEPEST) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  const [first] = schema.oneOf ?? schema.anyOf ?? [];
  if (first !== undefined) return exampleOf(document, first, depth + 1);
  const type = typeof schema.type === 'string' ? schema.type : schema.type?.[0];
  if (type === 'object' || schema.properties !== undefined) {
    const required = (schema.required ?? []).map((name) => [
      name,
      exampleOf(document, schema.properties?.[name] ?? {}, depth + 1),
    ]);
    return Object.fromEntries(required);
  }
  if (type === 'array')
    return schema.items === undefined ? [] : [exampleOf(document, schema.items, depth + 1)];
  if (type === 'integer' || type === 'number') return 1;
  if (type === 'boolean') return true;
  return type === 'null' ? null : '…';
}
