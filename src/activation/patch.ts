import { applyPatch } from 'rfc6902';
import { z } from 'zod';
import type { Base } from '../decide/plan.ts';
import { isPrototypeName } from '../flags/names.ts';
import { digestOf } from '../json.ts';

/*
 * A patch of a policy's data: the everyday change is one row, and needs no Rego.
 */

/** A place below a folder of `data.config`. A whole folder, or more, is never replaced by a patch. */
const pathSchema = z
  .string()
  .max(2000)
  .regex(/^\/config\/[^/]+\/.+$/, 'a path below a folder of the data, such as /config/limits/request_ttl_s')
  // The library would follow them to the prototype of every object.
  .refine((path) => !path.split('/').some(isPrototypeName), 'no member of this name')
  .meta({ description: 'A JSON Pointer (RFC 6901).' });

/** A JSON Patch. `move` and `copy` are left out, because they would hide what is written. @see RFC 6902 section 4 */
export const patchSchema = z
  .array(
    z.discriminatedUnion('op', [
      z.strictObject({ op: z.literal('add'), path: pathSchema, value: z.json() }),
      z.strictObject({ op: z.literal('replace'), path: pathSchema, value: z.json() }),
      z.strictObject({ op: z.literal('remove'), path: pathSchema }),
      z.strictObject({ op: z.literal('test'), path: pathSchema, value: z.json() }),
    ]),
  )
  .min(1)
  .max(100)
  .refine((operations) => operations.some(({ op }) => op !== 'test'), 'change something, besides tests')
  .meta({ id: 'DataPatch', description: 'Operations on the data of the active policy (RFC 6902).' });
export type DataPatch = z.infer<typeof patchSchema>;

/** An operation of a patch that cannot be carried out on some data. */
export class PatchFault extends Error {
  /** The place of the operation in the patch. */
  readonly place: number;

  constructor(place: number, message: string) {
    super(message);
    this.name = 'PatchFault';
    this.place = place;
  }
}

/** The data after a patch; the given data stays as it is. @throws PatchFault */
export function patchData(data: unknown, patch: DataPatch): unknown {
  const patched: unknown = structuredClone(data);
  for (const [place, operation] of patch.entries()) {
    const [error] = applyPatch(patched, [structuredClone(operation)]);
    if (error !== null && error !== undefined) {
      throw new PatchFault(place, explain(operation, error.name));
    }
  }
  return patched;
}

function explain({ op, path }: DataPatch[number], error: string): string {
  return error === 'TestError'
    ? `the data at ${path} is not what the test expects`
    : `${op} is not possible at ${path}: it, or what it is in, does not exist`;
}

/**
 * What a patch is based on: what its paths hold before it. Patches of different rows have no base in common, so they do
 * not conflict. A row that is appended to a list is based on nothing but the list's existence.
 */
export function basesOf(data: unknown, patch: DataPatch): Base[] {
  const paths = [...new Set(patch.map(({ path }) => path))].sort();
  return paths.map((path) => {
    if (path.endsWith('/-')) return { of: `data:${path}`, version: 1 };
    const value = valueAt(data, path);
    return value === undefined
      ? { of: `data:${path}`, version: 0 }
      : { of: `data:${path}#${digestOf(value)}`, version: 1 };
  });
}

/** @see RFC 6901 section 4 */
function valueAt(data: unknown, path: string): unknown {
  let value = data;
  for (const token of path.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
