import type { z } from 'zod';
import { describeFaults, expectedAt, type SchemaFault } from './schema-faults.ts';

/*
 * All faults of a configuration at once. A schema compares members with each other only where each of them has the right
 * form, so one fault would hide another. Therefore faulty values are replaced by harmless ones, and the rest is checked again.
 */

/** How often what is left is checked again. Each round can only find what the one before hid. */
const MAX_ROUNDS = 4;

type Document = Record<string, unknown>;

/**
 * Checks a document against a schema, also what its own faults would hide.
 *
 * @returns the faults of the document as it is, and the document with each faulty value left out or replaced
 */
export function findFaults(
  schema: z.ZodType,
  document: Document,
): { faults: SchemaFault[]; sound: Document } {
  const faults: SchemaFault[] = [];
  const removed = new Set<string>();
  const sound = structuredClone(document);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const parsed = schema.safeParse(sound);
    if (parsed.success) break;
    const { issues } = parsed.error;
    // What is said about a value that was put in says nothing about the document.
    const found = describeFaults(schema, sound, parsed.error).filter(
      ({ path }) => !faults.some((earlier) => isWithin(path, earlier.path)),
    );
    faults.push(...found);
    const before = JSON.stringify(sound);
    for (const issue of issues) repair(schema, sound, issue, removed);
    if (JSON.stringify(sound) === before) break;
  }
  return { faults, sound };
}

/** Whether one place is, or is inside of, another. */
function isWithin(path: readonly PropertyKey[], outer: readonly PropertyKey[]): boolean {
  return outer.length <= path.length && outer.every((step, place) => step === path[place]);
}

/** Takes out what an issue is about; what must be there is replaced. Values of the right form stay. */
function repair(schema: z.ZodType, sound: Document, issue: z.core.$ZodIssue, removed: Set<string>): void {
  const { path } = issue;
  if (issue.code === 'custom') return;
  if (issue.code === 'unrecognized_keys') {
    const holder = valueAt(sound, path);
    if (isDocument(holder)) for (const key of issue.keys) delete holder[key];
    return;
  }
  const key = path.at(-1);
  const holder = valueAt(sound, path.slice(0, -1));
  if (key === undefined || typeof holder !== 'object' || holder === null) return;
  const members = holder as Record<PropertyKey, unknown>;
  const place = JSON.stringify(path);
  const expected = expectedAt(schema, path);
  // A declaration that cannot be read is taken as given, so that nothing is said to miss it.
  if (expected?.type === 'boolean') members[key] = true;
  else if (removed.has(place) || Array.isArray(holder))
    members[key] = sampleOf(expected, members, removed.size);
  else delete members[key];
  removed.add(place);
}

/** A value of the form that is expected, unlike any other. */
function sampleOf(
  expected: z.core.JSONSchema.JSONSchema | undefined,
  { web }: Record<PropertyKey, unknown>,
  number: number,
): unknown {
  if (expected?.enum !== undefined) return expected.enum[0];
  switch (expected?.anyOf === undefined ? expected?.type : 'string') {
    case 'integer':
    case 'number':
      return expected?.minimum ?? 0;
    case 'array':
      return [];
    case 'object':
      return {};
    default:
      // The client of browser sign-ins must be one of the audience, which is what is missing here.
      if (expected?.anyOf !== undefined && isDocument(web) && typeof web.client_id === 'string')
        return web.client_id;
      return expected?.pattern === undefined ? `https://sample-${number}.invalid` : `sample-${number}`;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, step) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  );
}

function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
