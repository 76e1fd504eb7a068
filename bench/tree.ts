import {
  EMPTY_FRONTIER,
  frontierText,
  leafHash,
  rootOf,
  rootOfComplete,
  withLeaf,
} from '../src/tree/hashes.ts';
import { TILE_WIDTH } from '../src/tree/tiles.ts';

/** A complete tile as a row. */
export type TileRow = readonly [level: number, tile: number, hashes: Buffer, root: Buffer];

/** The tree of all leaves, for a log that was copied beside the writer. */
export function treeOf(leaves: Iterable<string>): {
  size: number;
  root: string;
  frontier: string;
  tiles: TileRow[];
} {
  let frontier = EMPTY_FRONTIER;
  let row: Buffer[] = [];
  for (const leaf of leaves) {
    const hash = leafHash(leaf);
    frontier = withLeaf(frontier, hash);
    row.push(hash);
  }
  const tiles: TileRow[] = [];
  for (let level = 0; row.length >= TILE_WIDTH; level += 1) {
    const above: Buffer[] = [];
    for (let at = 0; at + TILE_WIDTH <= row.length; at += TILE_WIDTH) {
      const part = row.slice(at, at + TILE_WIDTH);
      const root = rootOfComplete(part);
      tiles.push([level, at / TILE_WIDTH, Buffer.concat(part), root]);
      above.push(root);
    }
    row = above;
  }
  return {
    size: frontier.size,
    root: rootOf(frontier).toString('base64'),
    frontier: frontierText.write(frontier),
    tiles,
  };
}
