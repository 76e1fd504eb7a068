import { z } from 'zod';
import { accessInputSchema } from './access.ts';
import { inputSchema } from './input.ts';

const SCHEMAS = { input: inputSchema, access: accessInputSchema } as const;

/**
 * The JSON Schema of the input of an entry point (`input`: `countersign/decision`, `access`: `countersign/access`), as
 * text with a final newline. Equal inputs give equal bytes, so that `policies/schemas/<name>.json` can be compared with
 * it.
 *
 * Draft 7, because that is the newest one that `opa check --schema` reads.
 */
export function inputJsonSchema(name: keyof typeof SCHEMAS = 'input'): string {
  return `${JSON.stringify(z.toJSONSchema(SCHEMAS[name], { target: 'draft-7' }), splitTypes, 2)}\n`;
}

/** OPA takes only one name of `"type": ["string", "null"]`, so that a comparison with null would not type-check. */
function splitTypes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value) || !Array.isArray(value.type))
    return value;
  const { type, ...rest } = value;
  return { anyOf: (type as string[]).map((name) => ({ type: name })), ...rest };
}

if (import.meta.main)
  process.stdout.write(inputJsonSchema(process.argv[2] === 'access' ? 'access' : 'input'));
