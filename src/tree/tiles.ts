import { parseDecimal } from './decimal.ts';
import { LogFault } from './fault.ts';
import { HASH_BYTES, rootOfComplete, splitHashes } from './hashes.ts';
import type { Subtree } from './proofs.ts';

/*
 * Tiles: the tree in files of 256 hashes, and its leaves in bundles of 256. A tile of level 0 holds hashes of leaves; each
 * hash of a tile of a higher level is the root of a complete tile below. The last tile of a level may be partial.
 */

/** The number of hashes in a complete tile, and of leaves in a complete bundle. */
export const TILE_WIDTH = 256;
/** The height of a complete tile. */
const TILE_HEIGHT = 8;
/** The highest level that a path can name. */
const MAX_LEVEL = 63;
/** The highest level of a tree that can be counted: 256 ** 7 is more than 2 ** 53. */
export const TOP_LEVEL = 6;
/** The maximum size of a leaf: the length in a bundle has 16 bits. */
export const MAX_ENTRY_BYTES = 0xffff;

/** A tile, or a bundle of leaves. */
export interface Tile {
  /** Null for a bundle of leaves. */
  level: number | null;
  index: number;
  /** The number of hashes or leaves in it, 1 to {@link TILE_WIDTH}. */
  width: number;
}

/** The path of a tile, such as `tile/0/x001/234` or `tile/entries/005.p/17`. */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/\d{3}/g) ?? [];
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level ?? 'entries'}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/**
 * Reads the path of a tile.
 *
 * @throws LogFault for a path in any other form than the canonical one
 */
export function parseTilePath(path: string): Tile {
  const parts = /^tile\/(entries|\d{1,2})\/([x\d/]{3,40}?)(?:\.p\/(\d{1,3}))?$/.exec(path);
  const level = parts?.[1] === 'entries' ? null : parseDecimal(parts?.[1] ?? '');
  const index = parseDecimal((parts?.[2] ?? '').replaceAll(/[x/]/g, '').replace(/^0+(?=\d)/, ''));
  const width = parts?.[3] === undefined ? TILE_WIDTH : parseDecimal(parts[3]);
  if (parts !== null && index !== null && width !== null) {
    const tile = { level, index, width };
    const isValid = width >= 1 && width <= TILE_WIDTH && (level ?? 0) <= MAX_LEVEL;
    if (isValid && tilePath(tile) === path) return tile;
  }
  throw new LogFault(
    `${path.slice(0, 100)} is not the path of a tile. Paths are tile/<level>/<index> and tile/entries/<index>, with the index in groups of three digits, such as x001/234, and .p/<width> for a partial tile.`,
  );
}

/** The number of hashes or leaves that a tree of that size has in a tile. 0 if it has no such tile. */
export function widthIn({ level, index }: Pick<Tile, 'level' | 'index'>, size: number): number {
  const below = Math.floor(size / TILE_WIDTH ** (level ?? 0));
  return Math.max(0, Math.min(TILE_WIDTH, below - index * TILE_WIDTH));
}

/**
 * The tiles and bundles of a tree, each in the width that it has there.
 *
 * @param from those that are complete in a tree of this size are left out
 */
export function* tilesOf(size: number, from = 0): Generator<Tile> {
  for (const level of [null, ...Array.from({ length: TOP_LEVEL + 1 }, (_, at) => at)]) {
    for (let index = completeTiles(level, from); ; index += 1) {
      const width = widthIn({ level, index }, size);
      if (width === 0) break;
      yield { level, index, width };
    }
  }
}

/** The number of complete tiles of a level. */
export function completeTiles(level: number | null, size: number): number {
  return Math.floor(size / TILE_WIDTH ** ((level ?? 0) + 1));
}

/** Reads hashes from the bytes of a tile. @throws LogFault if they are not that many */
export function parseTile(bytes: Buffer, tile: Tile): Buffer[] {
  if (bytes.length !== tile.width * HASH_BYTES)
    throw new LogFault(
      `${tilePath(tile)} has ${bytes.length} bytes; ${tile.width * HASH_BYTES} are expected`,
    );
  return splitHashes(bytes);
}

/** Where the root of a complete subtree is: the tile, and the span of its hashes that the root is over. */
export function tileOfSubtree(subtree: Subtree): { level: number; index: number; from: number; to: number } {
  const level = Math.floor(subtree.height / TILE_HEIGHT);
  const count = 2 ** (subtree.height % TILE_HEIGHT);
  const first = subtree.index * count;
  const index = Math.floor(first / TILE_WIDTH);
  const from = first - index * TILE_WIDTH;
  return { level, index, from, to: from + count };
}

/** Reads the roots of subtrees from tiles. @param read reads the hashes of a tile, at least `width` of them */
export async function subtreesFrom(
  subtrees: readonly Subtree[],
  read: (tile: Tile) => Promise<readonly Buffer[]>,
): Promise<Buffer[]> {
  const spans = subtrees.map(tileOfSubtree);
  const widths = new Map<string, Tile>();
  for (const { level, index, to } of spans) {
    const known = widths.get(`${level}/${index}`);
    widths.set(`${level}/${index}`, { level, index, width: Math.max(to, known?.width ?? 0) });
  }
  const tiles = new Map<string, readonly Buffer[]>();
  for (const [key, tile] of widths) tiles.set(key, await read(tile));
  return spans.map(({ level, index, from, to }) =>
    rootOfComplete((tiles.get(`${level}/${index}`) ?? []).slice(from, to)),
  );
}

/** Writes a bundle of leaves: each with its length before it, as two bytes. @throws LogFault if one is too long */
export function formatBundle(leaves: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    leaves.flatMap((leaf) => {
      const bytes = Buffer.from(leaf);
      if (bytes.length > MAX_ENTRY_BYTES)
        throw new LogFault(`a leaf has ${bytes.length} bytes; at most ${MAX_ENTRY_BYTES} are possible`);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** Reads the leaves of a bundle. @throws LogFault if it does not contain exactly as many as its width */
export function parseBundle(bytes: Buffer, tile: Tile): Buffer[] {
  const leaves: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 2 <= bytes.length ? at + 2 + bytes.readUInt16BE(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length)
      throw new LogFault(`${tilePath(tile)} ends within leaf ${tile.index * TILE_WIDTH + leaves.length}`);
    leaves.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (leaves.length !== tile.width)
    throw new LogFault(`${tilePath(tile)} has ${leaves.length} leaves; ${tile.width} are expected`);
  return leaves;
}
