import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { compiledResultSchema, policyResultSchema } from '../../src/policy/decision.ts';
import { INPUT_SCHEMA_VERSION, inputSchemaOf } from '../../src/policy/input.ts';
import { REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';
import { almost, arbitraryOf, type Schema } from '../support/arbitrary.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * The compiled schemas of what each decision reads accept every document that is made by the schema, and nothing that the
 * schema refuses, whatever is put in place of any part of one; and they give the same.
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

const SCHEMAS: [string, z.ZodType, z.ZodType | undefined][] = [
  ['the input', inputSchemaOf(REQUEST_KINDS), INPUTS.get(INPUT_SCHEMA_VERSION)?.schema],
  ['the result', policyResultSchema, compiledResultSchema],
];

describe.each(SCHEMAS)('The compiled schema of %s', (_what, schema, compiled = z.never()) => {
  // The makers of values know a reference by itself only.
  const written = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { target: 'draft-7' })), (_name, part) =>
    part?.allOf?.length === 1 ? part.allOf[0] : part,
  ) as Schema & { definitions?: Record<string, Schema> };
  const valid = arbitraryOf(
    written,
    (ref) => written.definitions?.[ref.replace('#/definitions/', '')] as Schema,
  );

  it('is compiled, accepts what is made by the schema, and gives the same', () => {
    expect(compiled).not.toBe(schema);
    fc.assert(
      fc.property(valid, (document) => {
        expect(compiled.validate(document)).toBe(true);
        // The text, because the order of members is part of what is recorded.
        expect(JSON.stringify(compiled.parse(document))).toBe(JSON.stringify(schema.parse(document)));
      }),
      { numRuns: 200 },
    );
  });

  it('accepts nothing with faults that the schema refuses', () => {
    let refused = 0;
    fc.assert(
      fc.property(almost(almost(valid)), (document) => {
        if (compiled.validate(document)) expect(schema.safeParse(document).success).toBe(true);
        else refused += 1;
        expect(compiled.safeParse(document).error?.issues).toEqual(schema.safeParse(document).error?.issues);
      }),
      { numRuns: 300 },
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
          if (compiled.validate(document))
            expect(isAccepted(document), `${name}: ${inspect(strange)}`).toBe(true);
          else refused += 1;
        }
        delete parent[name];
        if (compiled.validate(document)) expect(isAccepted(document), `no ${name}`).toBe(true);
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
