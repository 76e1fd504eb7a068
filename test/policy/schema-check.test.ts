import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkOf } from '../../src/policy/schema-check.ts';
import { almost, arbitraryOf, type Schema } from '../support/arbitrary.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * The compiled check of an input document spares the schema only where the schema would accept: it accepts every document
 * that is made by the schema, and nothing that the schema refuses, whatever is put in place of any part of one.
 */

/** Values that JSON does not have, that are at the edge of a limit, or that only look like what is wanted. */
const STRANGE: readonly unknown[] = [
  undefined,
  null,
  true,
  '',
  'x',
  'x'.repeat(512),
  'x'.repeat(513),
  // Fewer than 512 characters, more than 512 units of UTF-16.
  '🚩'.repeat(300),
  '\ud800',
  0,
  -0,
  -1,
  0.5,
  10,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1n,
  [],
  [undefined],
  new Array(2),
  Array.from({ length: 1001 }, () => 'group'),
  ['a', 'b', 'c', 'd', 'e', 'f'],
  {},
  { unknown: 1 },
  JSON.parse('{"__proto__":{"id":"x"}}'),
  { constructor: 'x' },
  { toString: 'x' },
  Object.create({ key: 'production', kind: 'production' }),
  new Map([['key', 'production']]),
  new Date(0),
  Object('person'),
  Symbol.iterator,
  () => 'person',
];

describe.each([...INPUTS])('The check of version %i', (_version, { schema, isValid }) => {
  // The makers of values know a reference by itself only.
  const written = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { target: 'draft-7' })), (_name, part) =>
    part?.allOf?.length === 1 ? part.allOf[0] : part,
  ) as Schema & { definitions?: Record<string, Schema> };
  const valid = arbitraryOf(
    written,
    (ref) => written.definitions?.[ref.replace('#/definitions/', '')] as Schema,
  );

  it('accepts what is made by the schema', () => {
    fc.assert(
      fc.property(valid, (document) => {
        expect(schema.safeParse(document).success).toBe(true);
        expect(isValid(document)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('accepts nothing with faults that the schema refuses', () => {
    let refused = 0;
    fc.assert(
      fc.property(almost(almost(valid)), (document) => {
        if (isValid(document)) expect(schema.safeParse(document).success).toBe(true);
        else refused += 1;
      }),
      { numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it('accepts no strange value in any place that the schema refuses', () => {
    const isAccepted = (document: unknown) => schema.safeParse(document).success;
    const documents = fc.sample(valid, 6);
    let refused = 0;
    for (const document of documents) {
      for (const { parent, name } of placesIn({ root: document } as Members)) {
        const before = parent[name];
        for (const strange of STRANGE) {
          parent[name] = strange;
          if (isValid(document)) expect(isAccepted(document), `${name}: ${inspect(strange)}`).toBe(true);
          else refused += 1;
        }
        delete parent[name];
        if (isValid(document)) expect(isAccepted(document), `no ${name}`).toBe(true);
        parent[name] = before;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});

type Members = Record<string, unknown>;

function placesIn(value: Members): { parent: Members; name: string }[] {
  return Object.keys(value).flatMap((name) => {
    const part = value[name];
    const deeper = typeof part === 'object' && part !== null ? placesIn(part as Members) : [];
    return [...(name === 'root' ? [] : [{ parent: value, name }]), ...deeper];
  });
}

describe('A schema with something that the check does not know', () => {
  it.each([
    ['a refinement', z.strictObject({ name: z.string().refine((name) => name !== 'x') })],
    ['a refinement within a list', z.array(z.object({ name: z.string().refine((name) => name !== 'x') }))],
    ['a pattern', z.string().regex(/^x$/i)],
    ['a format', z.uuid()],
    ['a limit that is excluded', z.number().gt(0)],
    ['a multiple', z.number().multipleOf(2)],
    ['a tuple', z.tuple([z.string()])],
    ['a change of the value', z.string().transform((name) => name.length)],
    ['a type of its own', z.custom<string>()],
  ])('is refused: %s', (_what, schema) => {
    expect(() => checkOf(schema)('x')).toThrow();
  });
});

it('knows unions, references and limits as the schema does', () => {
  const name = z.string().min(2).max(3).meta({ id: 'Name' });
  const schema = z.strictObject({
    either: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('name'), name }),
      z.strictObject({ kind: z.literal('names'), names: z.array(name.meta({ description: 'One.' })).max(2) }),
    ]),
    counts: z.record(z.enum(['a', 'b']), z.int().min(1)).optional(),
    part: z.number().min(0).max(1).nullable(),
  });
  const isValid = checkOf(schema);
  const parts = [
    { kind: 'name', name: 'xx' },
    { kind: 'name', name: 'x' },
    { kind: 'names', names: ['xx', 'xxx'] },
    { kind: 'names', names: ['xx', 'xxxx'] },
    { kind: 'names', names: ['xx', 'xx', 'xx'] },
    { kind: 'name', names: [] },
    { kind: 'other' },
  ].flatMap((either) =>
    [undefined, { a: 1, b: 2 }, { a: 1, b: 0 }, { a: 1, b: 1.5 }, { c: 1 }].flatMap((counts) =>
      [null, 0, 1, 1.1, Number.NaN].map((part) => ({ either, counts, part })),
    ),
  );
  const accepted = parts.filter(isValid);
  expect(accepted).toEqual(parts.filter((value) => schema.safeParse(value).success));
  expect(accepted).toHaveLength(2 * 2 * 3);
});
