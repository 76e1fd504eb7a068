import { applyPatch } from 'rfc6902';
import { z } from 'zod';
import type { Base } from '../decide/plan.ts';
import { isPrototypeName } from '../flags/names.ts';
import { digestOf } from '../json.ts';

/*
 * A patch of a policy's data: the everyday change is one row, and needs no Rego.
 */

/** A place below a folder of `data.config`. Of whole folders, a patch replaces only the map of stages, which is one row. */
const pathSchema = z
  .string()
  .max(2000)
  .regex(
    /^\/config\/(stages|[^/]+\/.+)$/,
    'a path below a folder of the data, such as /config/limits/request_ttl_s',
  )
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

/** The data after a patch, and what the patch is based on. */
export interface PatchedData {
  data: unknown;
  bases: Base[];
}

/**
 * Carries out a patch; the given data stays as it is. Its bases are what each path holds when its operation is reached, so
 * that an operation which moves the items of a list is based on every item that the patch touches. Patches of different
 * rows have no base in common, so they do not conflict. A row that is appended to a list is based on nothing but the
 * list's existence.
 *
 * @throws PatchFault
 */
export function patchData(data: unknown, patch: DataPatch): PatchedData {
  const patched: unknown = structuredClone(data);
  const bases = new Map<string, Base>();
  for (const [at, operation] of patch.entries()) {
    const place = placeOf(patched, operation);
    if (place === null) throw new PatchFault(at, explain(operation, 'MissingError'));
    const base = baseOf(operation.path, place);
    bases.set(base.of, base);
    const [error] = applyPatch(patched, [structuredClone(operation)]);
    if (error !== null && error !== undefined) throw new PatchFault(at, explain(operation, error.name));
  }
  return { data: patched, bases: [...bases.values()].toSorted((a, b) => (a.of < b.of ? -1 : 1)) };
}

function explain({ op, path }: DataPatch[number], error: string): string {
  return error === 'TestError'
    ? `the data at ${path} is not what the test expects`
    : `${op} is not possible at ${path}: it, or what it is in, does not exist`;
}

function baseOf(path: string, { inside, name }: Place): Base {
  if (Array.isArray(inside) && name === END_OF_LIST) return { of: `data:${path}`, version: 1 };
  return Object.hasOwn(inside, name)
    ? { of: `data:${path}#${digestOf(inside[name])}`, version: 1 }
    : { of: `data:${path}`, version: 0 };
}

type Container = Record<string, unknown>;

/** A place in the data: a member of an object, or an item of a list, which may not exist yet. */
interface Place {
  inside: Container;
  name: string;
}

const END_OF_LIST = '-';

/**
 * The place of an operation; null if it, or what it is in, does not exist. The library alone would also follow what lists
 * and objects inherit, which every part of the process shares, and read `00` as an index.
 *
 * @see RFC 6901 section 4
 */
function placeOf(data: unknown, { op, path }: DataPatch[number]): Place | null {
  const names = path
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = names.pop() ?? '';
  let inside = data;
  for (const name of names) {
    if (!isContainer(inside) || !isIn(inside, name)) return null;
    inside = inside[name];
  }
  if (!isContainer(inside)) return null;
  const isNew = op === 'add' && (!Array.isArray(inside) || last === END_OF_LIST || isIndex(last));
  return isNew || isIn(inside, last) ? { inside, name: last } : null;
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

function isIn(inside: Container, name: string): boolean {
  return Object.hasOwn(inside, name) && (!Array.isArray(inside) || isIndex(name));
}

function isIndex(name: string): boolean {
  return /^(0|[1-9][0-9]*)$/.test(name);
}
