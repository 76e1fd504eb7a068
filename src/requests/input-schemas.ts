import { accessInputSchema } from '../policy/access.ts';
import { inputSchemaOf } from '../policy/input.ts';
import { jsonSchemaText } from '../policy/json-schema.ts';
import { REQUEST_KINDS } from './kinds/kinds.ts';

const SCHEMAS = { input: inputSchemaOf(REQUEST_KINDS), access: accessInputSchema } as const;

/** The JSON Schema that Rego is checked against, for `countersign/decision` (`input`) or `countersign/access`. */
export function inputJsonSchema(name: keyof typeof SCHEMAS = 'input'): string {
  return jsonSchemaText(SCHEMAS[name]);
}

if (import.meta.main)
  process.stdout.write(inputJsonSchema(process.argv[2] === 'access' ? 'access' : 'input'));
