import { type LogHead, readHead } from '../store/log-head.ts';
import { listTileHashes, listTileLeaves } from '../store/log-tiles.ts';
import { rootAt } from '../store/signed-checkpoint.ts';
import type { Db } from '../store/statement.ts';
import { frontierText, leafHash, rootOf, rootOfComplete } from '../tree/hashes.ts';
import { completeTiles, TILE_WIDTH } from '../tree/tiles.ts';

/*
 * The broker's look at its own log: whether leaves, tiles and head, as they are stored, are one tree. The database refuses to
 * change any of them, so what is found here was done to the file from outside.
 */

/**
 * Compares the head with the tree below it.
 *
 * @returns a sentence for the operator, or null
 */
export async function findHeadFault(db: Db): Promise<string | null> {
  const head = await readHead(db);
  const root = (await rootAt(db, head.size)).toString('base64');
  if (root !== head.root) return `The root of the decision log is not that of its ${head.size} records.`;
  if (frontierRoot(head) !== head.root) return 'The right edge of the decision log is not that of its root.';
  return null;
}

function frontierRoot({ frontier, size }: LogHead): string | null {
  try {
    return rootOf(frontierText.read(frontier, size)).toString('base64');
  } catch {
    return null;
  }
}

/** The number of bundles of leaves that are complete. */
export async function countBundles(db: Db): Promise<number> {
  return completeTiles(0, (await readHead(db)).size);
}

/**
 * Compares the leaves of a complete bundle with their hashes in the tree, and these with the tiles above.
 *
 * @returns a sentence for the operator, or null
 */
export async function findBundleFault(db: Db, index: number): Promise<string | null> {
  const { size } = await readHead(db);
  const hashes = await listTileHashes(db, { level: 0, index, width: TILE_WIDTH });
  const leaves = await listTileLeaves(db, { index, width: TILE_WIDTH });
  for (const [at, hash] of hashes.entries()) {
    const leaf = leaves[at];
    if (leaf === undefined || !leafHash(leaf).equals(hash))
      return `The record at place ${index * TILE_WIDTH + at + 1} of the decision log was changed.`;
  }
  let tile = { level: 0, index };
  while (tile.index < completeTiles(tile.level, size)) {
    const root = rootOfComplete(await listTileHashes(db, { ...tile, width: TILE_WIDTH }));
    const above = { level: tile.level + 1, index: Math.floor(tile.index / TILE_WIDTH) };
    const width = (tile.index % TILE_WIDTH) + 1;
    if ((await listTileHashes(db, { ...above, width })).at(-1)?.equals(root) !== true)
      return `Tile ${tile.index} of level ${tile.level} of the decision log was changed.`;
    tile = above;
  }
  return null;
}
