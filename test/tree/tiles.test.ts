import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogFault } from '../../src/tree/fault.ts';
import { consistencyProof, inclusionProof, treeRoot } from '../../src/tree/proofs.ts';
import {
  formatBundle,
  parseBundle,
  parseTile,
  parseTilePath,
  subtreesFrom,
  type Tile,
  tilePath,
  tilesOf,
  widthIn,
} from '../../src/tree/tiles.ts';
import { auditPath, continuation, tileHashes, treeHash } from '../support/tree-oracle.ts';
import { leavesOf } from './samples.ts';

describe('the path of a tile', () => {
  it.each<[string, Tile]>([
    ['tile/0/000', { level: 0, index: 0, width: 256 }],
    ['tile/1/x001/000', { level: 1, index: 1000, width: 256 }],
    ['tile/0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
    ['tile/0/x001/x234/067.p/1', { level: 0, index: 1_234_067, width: 1 }],
    ['tile/entries/005.p/255', { level: null, index: 5, width: 255 }],
    ['tile/63/000', { level: 63, index: 0, width: 256 }],
  ])('%s', (path, tile) => {
    expect(tilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  it('has one form for each tile', () => {
    const tile = fc.record({
      level: fc.option(fc.integer({ min: 0, max: 63 })),
      index: fc.maxSafeNat(),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(tile, (given) => {
        expect(parseTilePath(tilePath(given))).toEqual(given);
      }),
    );
  });

  it.each([
    'tile/0/x001/x0000',
    'tile/0/x000/001',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/0/001/000',
    'tile/0/x001',
    'tile/0/x001/',
    'tile/0//000',
    'tile/0/000/',
    'tile/00/000',
    'tile/64/000',
    'tile/99/000',
    'tile/-1/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/257',
    'tile/0/000.p/01',
    'tile/0/000.p/',
    'tile/0/000.p/1/2',
    'tile/8/0/000',
    'tile/entries/000.p/0',
    'tile/entries',
    'tile/0/..',
    'tile/0/x001/../000',
    'tile/0/x009/x007/x199/x254/x740/992',
    'tile/0/x999/x999/x999/x999/x999/x999/x999/999',
    'Tile/0/000',
    'tile/0/٠٠٠',
    'tile/0/000\n',
    '',
  ])('is not %j', (path) => {
    expect(() => parseTilePath(path)).toThrow(LogFault);
  });
});

describe('the tiles of a tree', () => {
  it.each([0, 1, 255, 256, 257, 511, 512, 600])('of %i leaves', (size) => {
    const tiles = [...tilesOf(size)];
    const leaves = leavesOf(size);
    const expected = [null, 0, 1].flatMap((level) => {
      const found: Tile[] = [];
      for (let index = 0; ; index += 1) {
        const width = tileHashes(level ?? 0, index, leaves).length;
        if (width === 0) return found;
        found.push({ level, index, width });
      }
    });
    expect(tiles).toEqual(expected);
  });

  it('of large trees have the widths of the specification', () => {
    const size = 70_000;
    expect([...tilesOf(size)].filter(({ level }) => level !== null && level > 0)).toEqual([
      { level: 1, index: 0, width: 256 },
      { level: 1, index: 1, width: 17 },
      { level: 2, index: 0, width: 1 },
    ]);
    expect(widthIn({ level: 0, index: 273 }, size)).toBe(112);
    expect(widthIn({ level: 0, index: 274 }, size)).toBe(0);
    expect(widthIn({ level: 0, index: 2 ** 52 }, size)).toBe(0);
    expect([...tilesOf(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)].at(-1)).toMatchObject({ level: 6 });
  });

  it('leave out what an earlier tree had completely', () => {
    expect([...tilesOf(600, 512)]).toEqual([
      { level: null, index: 2, width: 88 },
      { level: 0, index: 2, width: 88 },
      { level: 1, index: 0, width: 2 },
    ]);
  });

  it('suffice for every proof', async () => {
    const leaves = leavesOf(1100);
    const asked = new Set<string>();
    const read = (subtrees: Parameters<typeof subtreesFrom>[0]) =>
      subtreesFrom(subtrees, async (tile) => {
        asked.add(tilePath(tile));
        const hashes = tileHashes(tile.level ?? -1, tile.index, leaves);
        expect(hashes.length).toBeGreaterThanOrEqual(tile.width);
        return hashes;
      });
    for (const size of [256, 257, 1000, 1100]) {
      const part = leaves.slice(0, size);
      expect(await treeRoot(size, read)).toEqual(treeHash(part));
      for (const index of [0, 255, 256, 700, size - 1]) {
        if (index >= size) continue;
        expect(await inclusionProof(index, size, read)).toEqual(auditPath(index, part));
        expect(await consistencyProof(index + 1, size, read)).toEqual(continuation(index + 1, part));
      }
    }
    expect([...asked].some((path) => path.startsWith('tile/1/'))).toBe(true);
  });

  it('have as many bytes as their width says', () => {
    const tile = { level: 0, index: 3, width: 2 };
    expect(parseTile(Buffer.alloc(64), tile)).toHaveLength(2);
    expect(() => parseTile(Buffer.alloc(63), tile)).toThrow('tile/0/003.p/2 has 63 bytes; 64 are expected');
    expect(() => parseTile(Buffer.alloc(96), tile)).toThrow(LogFault);
  });
});

describe('a bundle of leaves', () => {
  const leaf = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

  it('keeps the leaves as they are', () => {
    fc.assert(
      fc.property(fc.array(leaf, { minLength: 1, maxLength: 256 }), (leaves) => {
        const tile = { level: null, index: 0, width: leaves.length };
        expect(parseBundle(formatBundle(leaves), tile)).toEqual(leaves);
      }),
      { numRuns: 30 },
    );
  });

  it('has leaves of up to 65,535 bytes', () => {
    const tile = { level: null, index: 0, width: 1 };
    expect(parseBundle(formatBundle(['x'.repeat(65_535)]), tile)[0]).toHaveLength(65_535);
    expect(() => formatBundle(['x'.repeat(65_536)])).toThrow('at most 65535 are possible');
  });

  it('is refused if it is cut off, or has more or fewer leaves than its width', () => {
    const bytes = formatBundle(['first', 'second']);
    const tile = { level: null, index: 1, width: 2 };
    for (const end of [bytes.length - 1, 8, 1])
      expect(() => parseBundle(bytes.subarray(0, end), tile)).toThrow(LogFault);
    expect(() => parseBundle(bytes.subarray(0, 9), tile)).toThrow('ends within leaf 257');
    expect(() => parseBundle(bytes.subarray(0, 7), tile)).toThrow('has 1 leaves; 2 are expected');
    expect(() => parseBundle(bytes, { ...tile, width: 1 })).toThrow(LogFault);
    expect(() => parseBundle(Buffer.concat([bytes, Buffer.of(0)]), tile)).toThrow(LogFault);
  });
});
