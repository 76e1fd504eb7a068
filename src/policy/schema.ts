import { z } from 'zod';
import { inputSchema } from './input.ts';

/**
 * The JSON Schema of the policy input, as text with a final newline. Equal inputs give equal bytes, so that
 * `policies/schemas/input.json` can be compared with it.
 *
 * Draft 7, because that is the newest one that `opa check --schema` reads.
 */
export function inputJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(inputSchema, { target: 'draft-7' }), splitTypes, 2)}\n`;
}

/** OPA takes only one name of `"type": ["string", "null"]`, so that a comparison with null would not type-check. */
function splitTypes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value) || !Array.isArray(value.type))
    return value;
  const { type, ...rest } = value;
  return { anyOf: (type as string[]).map((name) => ({ type: name })), ...rest };
}

if (import.meta.main) process.stdout.write(inputJsonSchema());
