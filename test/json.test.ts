import { describe, expect, it } from 'vitest';
import { canonicalJson, digestOf, sha256Hex } from '../src/json.ts';

describe('canonical JSON', () => {
  it('has the same bytes for equal values, whatever the order they were written in', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true })).toBe(
      '{"a":true,"b":[1,{"c":"x","d":null}]}',
    );
    expect(canonicalJson({ a: true, b: [1, { c: 'x', d: null }] })).toBe(
      '{"a":true,"b":[1,{"c":"x","d":null}]}',
    );
  });

  it('orders by UTF-16 code units and writes numbers as RFC 8785 does', () => {
    expect(
      canonicalJson({ '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, ö: 7 }),
    ).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\ud83d\ude00":5,"\ufb33":3}');
    expect(canonicalJson([333333333.5, 1e30, 4.5, 2e-3, 1e-27])).toBe('[333333333.5,1e+30,4.5,0.002,1e-27]');
  });

  it('refuses what has no JSON form', () => {
    for (const value of [undefined, () => 1, Number.NaN, Number.POSITIVE_INFINITY, '\ud800']) {
      expect(() => canonicalJson(value)).toThrow();
    }
  });
});

it('a digest is SHA-256 over the canonical form', () => {
  expect(digestOf({ b: 1, a: 2 })).toBe(`sha256:${sha256Hex('{"a":2,"b":1}')}`);
  expect(sha256Hex('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});
