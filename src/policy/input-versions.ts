import type { z } from 'zod';
import { INPUT_SCHEMA_VERSION, type InputKind, inputSchemaOf, type PolicyInput } from './input.ts';
import { inputV1Schema, toInputV1 } from './input-v1.ts';

/** One version of the input document. Versions are kept for ever: decisions made on them are decided again for years. */
export interface InputVersion {
  /** What a document of this version looks like. */
  schema: z.ZodType;
  /** A document of this version, with what the present one says. */
  from(input: PolicyInput): unknown;
}

/** The versions that a bundle can declare. */
export type InputVersions = ReadonlyMap<number, InputVersion>;

/** Every version of the input document, for the kinds of requests that there are. */
export function inputVersions(kinds: readonly InputKind[]): InputVersions {
  return new Map<number, InputVersion>([
    [1, { schema: inputV1Schema, from: toInputV1 }],
    [INPUT_SCHEMA_VERSION, { schema: inputSchemaOf(kinds), from: (input) => input }],
  ]);
}
