import { z } from 'zod';
import { identifier } from '../principal.ts';
import {
  inputBaseSchema,
  inputFreezeSchema,
  inputRequestSchema,
  inputRevocationSchema,
  type PolicyInput,
} from './input.ts';

/**
 * Version 1 of the input document: for bundles that declare no version, and for the replay of former decisions. It has a
 * member for each of the two former objects, in place of `request.object`.
 */

const requestSchema = inputRequestSchema.omit({ object: true }).extend({
  kind: z.enum(['flag.change', 'freeze.lift', 'revocation.lift']),
  /** The freeze to lift, for `freeze.lift`. */
  freeze: inputFreezeSchema.nullable(),
  /** The revocation to lift, for `revocation.lift`. */
  revocation: inputRevocationSchema.extend({ id: identifier }).optional(),
});

/** The whole input document of version 1. */
export const inputV1Schema = inputBaseSchema.extend({
  schema_version: z.literal(1),
  request: requestSchema.nullable(),
});

/** Converts the document to version 1. A kind that version 1 does not have fails its schema. */
export function toInputV1(input: PolicyInput): unknown {
  const { request } = input;
  if (request === null) return { ...input, schema_version: 1 };
  const { object, facts, parked, ...known } = request;
  const { type = null, ...members } = object ?? {};
  return {
    ...input,
    schema_version: 1,
    request: {
      ...known,
      freeze: type === 'freeze' ? members : null,
      ...(type === 'revocation' ? { revocation: members } : {}),
      facts,
      ...(parked === undefined ? {} : { parked }),
    },
  };
}
