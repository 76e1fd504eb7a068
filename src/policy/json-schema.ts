import { z } from 'zod';

/**
 * The JSON Schema of an input document, as text with a final newline. Equal schemas give equal bytes, so that
 * `policies/schemas/<name>.json` can be compared with it.
 *
 * Draft 7, because that is the newest draft that `opa check --schema` supports.
 */
export function jsonSchemaText(schema: z.ZodType): string {
  return `${JSON.stringify(z.toJSONSchema(schema, { target: 'draft-7' }), splitTypes, 2)}\n`;
}

/** OPA uses only one name of `"type": ["string", "null"]`, so a comparison with null would not type-check. */
function splitTypes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value) || !Array.isArray(value.type))
    return value;
  const { type, ...rest } = value;
  return { anyOf: (type as string[]).map((name) => ({ type: name })), ...rest };
}
