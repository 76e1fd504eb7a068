import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DataDifference, dataDifferences } from '../../src/policy/data-diff.ts';

/*
 * What differs between the data of two bundles, for people to read.
 */

describe('the differences of data', () => {
  it.each<[string, unknown, unknown, DataDifference[]]>([
    ['nothing', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, []],
    [
      'a value',
      { limits: { ttl: 1 } },
      { limits: { ttl: 2 } },
      [{ path: '/limits/ttl', before: 1, after: 2 }],
    ],
    ['a row more', { w: { a: 1 } }, { w: { a: 1, 'b/~': 2 } }, [{ path: '/w/b~1~0', after: 2 }]],
    ['a row less', { w: { a: 1, b: null } }, { w: { a: 1 } }, [{ path: '/w/b', before: null }]],
    ['an item more, at the end', { l: ['a'] }, { l: ['a', 'b'] }, [{ path: '/l/1', after: 'b' }]],
    [
      'an item less, in the middle',
      { l: ['a', 'b', 'c'] },
      { l: ['a', 'c'] },
      [{ path: '/l/1', before: 'b' }],
    ],
    [
      'an item instead',
      { l: [{ r: 1 }] },
      { l: [{ r: 2 }] },
      [{ path: '/l/0', before: { r: 1 }, after: { r: 2 } }],
    ],
    ['another type', { a: {} }, { a: [] }, [{ path: '/a', before: {}, after: [] }]],
  ])('are %s', (_name, before, after, expected) => {
    expect(dataDifferences(before, after)).toEqual(expected);
  });

  it('are none exactly if the data is equal, and the same from the other side', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const [there, back] = [dataDifferences(one, other), dataDifferences(other, one)];
        expect(dataDifferences(one, structuredClone(one))).toEqual([]);
        expect(there).toHaveLength(back.length);
        expect(there.length === 0).toBe(back.length === 0);
      }),
    );
  });
});
