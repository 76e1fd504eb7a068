import { frontierText, leafHash, rootOf, rootOfComplete, splitHashes, withLeaf } from '../tree/hashes.ts';
import { completeTiles, TILE_WIDTH, type Tile } from '../tree/tiles.ts';
import { batchOf } from './batch.ts';
import type { LogHead } from './log-head.ts';
import type { LogTilesTable } from './schema-log.ts';
import { type Db, statement, type Tx } from './statement.ts';

/*
 * The tree of the log, as it is stored: complete tiles as rows, and the right edge in the log's head. A batch adds the
 * leaves of all its records at once, so a write costs no statement for the tree. Hashes of a partial tile are not stored:
 * they are those of its leaves, or the roots of the tiles below.
 */

const leavesStatement = statement<{ after: number; to: number }, { place: number; leaf: string }>((db, p) =>
  db
    .selectFrom('leaves')
    .select(['place', 'leaf'])
    .where('place', '>', p('after'))
    .where('place', '<=', p('to')),
);
const tileStatement = statement<{ level: number; tile: number }, Pick<LogTilesTable, 'hashes'>>((db, p) =>
  db.selectFrom('log_tiles').select('hashes').where('level', '=', p('level')).where('tile', '=', p('tile')),
);
const rootsStatement = statement<
  { level: number; from: number; to: number },
  Pick<LogTilesTable, 'tile' | 'root'>
>((db, p) =>
  db
    .selectFrom('log_tiles')
    .select(['tile', 'root'])
    .where('level', '=', p('level'))
    .where('tile', '>=', p('from'))
    .where('tile', '<', p('to')),
);

/**
 * Adds the leaves of a batch to the tree: its new root and right edge go into the head, and each tile that is now complete
 * becomes a row. At most four statements, and none unless a tile is complete.
 *
 * @returns the head with root and frontier
 */
export async function growTree(tx: Tx, head: LogHead): Promise<LogHead> {
  const { from, leaves } = batchOf(tx);
  let frontier = frontierText.read(from.frontier, from.size);
  for (let place = from.size + 1; place <= head.size; place += 1) {
    const leaf = leaves.get(place);
    if (leaf === undefined) throw new Error(`there is no leaf at place ${place}`);
    frontier = withLeaf(frontier, leaf);
  }
  await insertCompleted(tx, from.size, head.size);
  return { ...head, root: rootOf(frontier).toString('base64'), frontier: frontierText.write(frontier) };
}

async function insertCompleted(tx: Tx, from: number, to: number): Promise<void> {
  const rows: LogTilesTable[] = [];
  let below: LogTilesTable[] = [];
  for (let level = 0; completeTiles(level, from) < completeTiles(level, to); level += 1) {
    const first = completeTiles(level, from);
    const count = completeTiles(level, to) - first;
    const span = { index: first, width: count * TILE_WIDTH };
    const hashes =
      level === 0 ? await leafHashes(tx, span) : await rootsBelow(tx, { level, ...span, fresh: below });
    below = Array.from({ length: count }, (_, at) => {
      const part = hashes.slice(at * TILE_WIDTH, (at + 1) * TILE_WIDTH);
      return { level, tile: first + at, hashes: Buffer.concat(part), root: rootOfComplete(part) };
    });
    rows.push(...below);
  }
  if (rows.length > 0) await tx.insertInto('log_tiles').values(rows).execute();
}

/** Hashes in a span of a level: `width` of them, from the beginning of the tile `index`. */
interface Span {
  index: number;
  width: number;
}

async function leafHashes(db: Db, span: Span): Promise<Buffer[]> {
  return (await listTileLeaves(db, span)).map(leafHash);
}

/** The roots of tiles one level below. @param fresh tiles of this batch, which have no rows yet */
async function rootsBelow(
  db: Db,
  { level, index, width, fresh = [] }: Span & { level: number; fresh?: readonly LogTilesTable[] },
): Promise<Buffer[]> {
  const from = index * TILE_WIDTH;
  const { rows } = await rootsStatement(db, { level: level - 1, from, to: from + width });
  return [...rows, ...fresh]
    .filter(({ tile }) => tile >= from && tile < from + width)
    .toSorted((a, b) => a.tile - b.tile)
    .map(({ root }) => root);
}

/** The leaves of a bundle; fewer than its width if the log is shorter. */
export async function listTileLeaves(db: Db, { index, width }: Span): Promise<string[]> {
  const after = index * TILE_WIDTH;
  const { rows } = await leavesStatement(db, { after, to: after + width });
  return rows.toSorted((a, b) => a.place - b.place).map(({ leaf }) => leaf);
}

/** The hashes of a tile; fewer than its width if the log is shorter. */
export async function listTileHashes(db: Db, tile: Tile & { level: number }): Promise<Buffer[]> {
  const { level, index, width } = tile;
  const [row] = (await tileStatement(db, { level, tile: index })).rows;
  if (row !== undefined) return splitHashes(row.hashes).slice(0, width);
  return level === 0 ? leafHashes(db, tile) : rootsBelow(db, tile);
}
