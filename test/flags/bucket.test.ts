import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKETS, bucketOf, variantAt } from '../../src/flags/bucket.ts';

/** MurmurHash3 x86 32-bit over bytes, seed 0, written from the published algorithm to check the library against. */
function murmur3(bytes: Buffer): number {
  const mix = (block: number) =>
    Math.imul((Math.imul(block, 0xcc9e2d51) << 15) | (Math.imul(block, 0xcc9e2d51) >>> 17), 0x1b873593);
  let hash = 0;
  const blocks = bytes.length >> 2;
  for (let index = 0; index < blocks; index += 1) {
    hash ^= mix(bytes.readInt32LE(index * 4));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let index = bytes.length - 1; index >= blocks * 4; index -= 1)
    tail = (tail << 8) | bytes.readUInt8(index);
  hash ^= mix(tail) ^ bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

describe('buckets', () => {
  it('are those of flagd: the published hash, scaled by exact 64-bit arithmetic', () => {
    expect(murmur3(Buffer.from('user-1'))).toBe(4171401059);
    const ascii = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 255 });
    fc.assert(
      fc.property(ascii, (organization) => {
        const expected = (BigInt(murmur3(Buffer.from(`flag.key${organization}`))) * BigInt(BUCKETS)) >> 32n;
        expect(bucketOf('flag.key', organization)).toBe(Number(expected));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([undefined, null, '', 7, true, {}, ['acme'], 'é', 'acme\u200b', 'x'.repeat(256)])(
    'has none for %j',
    (organization) => {
      expect(bucketOf('flag', organization)).toBeNull();
    },
  );

  it('are dealt out in the order of the shares, each exactly as wide as its percentage', () => {
    const rollout = [
      { variant: 'a', percent: 0 },
      { variant: 'b', percent: 0.001 },
      { variant: 'c', percent: 33.333 },
      { variant: 'd', percent: 66.666 },
    ];
    const at = (bucket: number) => variantAt(rollout, bucket);
    expect([at(0), at(1), at(33_333), at(33_334), at(BUCKETS - 1), at(BUCKETS)]).toEqual([
      'b',
      'c',
      'c',
      'd',
      'd',
      null,
    ]);
  });
});
