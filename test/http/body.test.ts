import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MAX_DEPTH, parse } from '../../src/http/body.ts';

/** A schema that takes everything: what is refused here is refused by no schema. */
const anything = z.unknown();

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('parsing an outside value', () => {
  it.each(['__proto__', 'constructor', 'prototype'])(
    'refuses the key %s at any depth, under any schema',
    (name) => {
      for (const text of [`{"${name}":1}`, `[{"a":{"${name}":{}}}]`, `{"a":[1,{"b":[{"${name}":null}]}]}`]) {
        expect(() => parse(anything, JSON.parse(text))).toThrow(
          expect.objectContaining({ code: 'invalid_request' }),
        );
      }
    },
  );

  it('takes what nests as deep as it may, and no deeper', () => {
    expect(parse(anything, nested(MAX_DEPTH))).toEqual(nested(MAX_DEPTH));
    expect(() => parse(anything, nested(MAX_DEPTH + 1))).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
    expect(() => parse(anything, nested(200_000))).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
  });

  it('gives any other JSON back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(text));
        expect(parse(anything, JSON.parse(text))).toEqual(JSON.parse(text));
      }),
      { seed: 3 },
    );
  });

  it('names the place of each fault as a JSON Pointer in a URI fragment', () => {
    const schema = z.strictObject({ 'a/b': z.array(z.strictObject({ 'c~d é': z.number() })) });
    try {
      parse(schema, { 'a/b': [{ 'c~d é': 'x' }] });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ fields: { errors: [{ pointer: '#/a~1b/0/c~0d%20%C3%A9' }] } });
    }
  });

  it('of several alternatives reports the one that was most likely meant', () => {
    const schema = z.union([
      z.strictObject({ a: z.number(), b: z.number() }),
      z.strictObject({ c: z.string() }),
    ]);
    try {
      parse(schema, { a: 1, b: 'x' });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ fields: { errors: [{ pointer: '#/b' }] } });
    }
  });
});
