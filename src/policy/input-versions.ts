import { z } from 'zod';
import { INPUT_SCHEMA_VERSION, type InputKind, inputSchemaOf, type PolicyInput } from './input.ts';
import { inputV1Schema, toInputV1 } from './input-v1.ts';

/** One version of the input document. Versions are never removed, because decisions are replayed years later. */
export interface InputVersion {
  /** The schema of this version. */
  schema: z.ZodType;
  /** Converts a document of the current version to this version. */
  from(input: PolicyInput): unknown;
}

/** The versions that a bundle can declare. */
export type InputVersions = ReadonlyMap<number, InputVersion>;

/** All versions of the input document, for the given kinds of requests. */
export function inputVersions(kinds: readonly InputKind[]): InputVersions {
  // Compiled, because each decision validates its input: else that is a tenth of a decision.
  const current = z.compile(inputSchemaOf(kinds), { strict: true });
  return new Map<number, InputVersion>([
    [1, { schema: inputV1Schema, from: toInputV1 }],
    [INPUT_SCHEMA_VERSION, { schema: current, from: (input) => input }],
  ]);
}

/** The same without their schemas, for inputs that were validated before. */
export const uncheckedInputs: InputVersions = new Map<number, InputVersion>([
  [1, { schema: z.unknown(), from: toInputV1 }],
  [INPUT_SCHEMA_VERSION, { schema: z.unknown(), from: (input) => input }],
]);
