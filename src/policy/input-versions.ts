import { z } from 'zod';
import { INPUT_SCHEMA_VERSION, type InputKind, inputSchemaOf, type PolicyInput } from './input.ts';
import { inputV1Schema, toInputV1 } from './input-v1.ts';
import { type Check, checkOf } from './schema-check.ts';

/** One version of the input document. Versions are never removed, because decisions are replayed years later. */
export interface InputVersion {
  /** The schema of this version. */
  schema: z.ZodType;
  /** Whether a document is certainly valid. If not, `schema` decides, and says why. */
  isValid: Check;
  /** Converts a document of the current version to this version. */
  from(input: PolicyInput): unknown;
}

/** The versions that a bundle can declare. */
export type InputVersions = ReadonlyMap<number, InputVersion>;

/** All versions of the input document, for the given kinds of requests. */
export function inputVersions(kinds: readonly InputKind[]): InputVersions {
  const current = inputSchemaOf(kinds);
  return new Map<number, InputVersion>([
    [1, { schema: inputV1Schema, isValid: checkOf(inputV1Schema), from: toInputV1 }],
    [INPUT_SCHEMA_VERSION, { schema: current, isValid: checkOf(current), from: (input) => input }],
  ]);
}

/** The same without their schemas, for inputs that were validated before. */
export const uncheckedInputs: InputVersions = new Map<number, InputVersion>([
  [1, { schema: z.unknown(), isValid: () => true, from: toInputV1 }],
  [INPUT_SCHEMA_VERSION, { schema: z.unknown(), isValid: () => true, from: (input) => input }],
]);
