import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, digestOf } from '../src/json.ts';

/** Keys that sort differently as numbers, as bytes of UTF-8, and as code units. */
const key = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.nat().map(String),
  fc.constantFrom('é', '\u{1f600}', '\ufb33', '€', '\r', '"', '\\', '', 'constructor'),
);
const anyJson = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value')),
    fc.dictionary(key, tie('value')),
  ),
})).value;

describe('canonical JSON', () => {
  it('is what the reference implementation writes, for any JSON', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(canonicalJson(value)).toBe(canonicalize(value));
      }),
      { numRuns: 2000 },
    );
  });

  it('writes the example of RFC 8785 section 3.2.2 and sorts that of section 3.2.3', () => {
    const example = {
      numbers: [333333333.3333333, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    expect(canonicalJson(example)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
    const keys = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 };
    expect(canonicalJson(keys).match(/:\d/g)?.join('')).toBe(':2:4:6:7:1:5:3');
  });

  it('leaves out members that are undefined, and nothing else', () => {
    expect(canonicalJson({ b: undefined, a: null })).toBe('{"a":null}');
    expect(digestOf({ a: 1, b: undefined })).toBe(digestOf({ a: 1 }));
  });

  it.each([
    ['undefined', undefined],
    ['undefined in a list', [undefined]],
    ['not a number', Number.NaN],
    ['infinity', [Number.POSITIVE_INFINITY]],
    ['a function', { run: () => 1 }],
    ['a big integer', 1n],
    ['a lone surrogate', { text: '\ud800' }],
    ['a lone surrogate in a key', { '\udc00': 1 }],
    ['a date', { at: new Date(0) }],
    ['a map', new Map([['a', 1]])],
  ])('refuses %s, rather than write another value', (_name, value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
  });

  it('takes the digest over the bytes in UTF-8', () => {
    const bytes = createHash('sha256').update(Buffer.from('{"ä":"€"}', 'utf8')).digest('hex');
    expect(digestOf({ ä: '€' })).toBe(`sha256:${bytes}`);
  });
});
