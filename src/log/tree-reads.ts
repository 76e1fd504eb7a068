import { listTileHashes, listTileLeaves } from '../store/log-tiles.ts';
import { findLeaf } from '../store/records.ts';
import type { Db } from '../store/statement.ts';
import { HASH_BYTES } from '../tree/hashes.ts';
import { consistencyProof, inclusionProof, type ReadSubtrees, treeRoot } from '../tree/proofs.ts';
import { formatBundle, subtreesFrom, type Tile } from '../tree/tiles.ts';

/*
 * Reads of the tree, on committed state. Tiles, proofs and roots of every size that the log has had come out of what is
 * stored: complete tiles, and leaves.
 */

/** The roots of subtrees, out of the stored tiles. */
function readSubtrees(db: Db): ReadSubtrees {
  return (subtrees) =>
    subtreesFrom(subtrees, (tile) => listTileHashes(db, { ...tile, level: tile.level ?? 0 }));
}

/** The content of a tile or a bundle, or null if the log does not reach so far. */
export async function readTile(db: Db, tile: Tile): Promise<Buffer | null> {
  const { level, width } = tile;
  if (level === null) {
    const leaves = await listTileLeaves(db, tile);
    return leaves.length === width ? formatBundle(leaves) : null;
  }
  const hashes = Buffer.concat(await listTileHashes(db, { ...tile, level }));
  return hashes.length === width * HASH_BYTES ? hashes : null;
}

/** Proves that a record is in the log. @param size the number of leaves of the log that it is proved for */
export async function proveInclusion(
  db: Db,
  { place, size }: { place: number; size: number },
): Promise<{ leaf: string; proof: Buffer[] }> {
  const proof = await inclusionProof(place - 1, size, readSubtrees(db));
  const leaf = await findLeaf(db, place);
  if (leaf === undefined) throw new Error(`the log has no leaf at place ${place}`);
  return { leaf, proof };
}

/** Proves that the log with `to` leaves continues the log with `from` leaves. */
export async function proveConsistency(
  db: Db,
  { from, to }: { from: number; to: number },
): Promise<{ from_root: Buffer; to_root: Buffer; proof: Buffer[] }> {
  const read = readSubtrees(db);
  return {
    from_root: await treeRoot(from, read),
    to_root: await treeRoot(to, read),
    proof: await consistencyProof(from, to, read),
  };
}
