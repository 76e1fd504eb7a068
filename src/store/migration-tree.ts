import type { Kysely } from 'kysely';
import { EMPTY_FRONTIER, frontierText, leafHash, rootOf, rootOfComplete, withLeaf } from '../tree/hashes.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';
import { refuseChanges } from './append-only.ts';

/** The parts of the schema that the tree is built from and stored in. */
interface TreeSchema {
  leaves: { place: number; leaf: string };
  log_head: { size: number; root: string; frontier: string };
  log_tiles: { level: number; tile: number; hashes: Buffer; root: Buffer };
}

/** Adds the tree of the log, and builds it over the leaves that there are. Their bytes stay as they are. */
export async function addTree(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('log_tiles')
    .addColumn('level', 'integer', (c) => c.notNull())
    .addColumn('tile', 'integer', (c) => c.notNull())
    .addColumn('hashes', 'blob', (c) => c.notNull())
    .addColumn('root', 'blob', (c) => c.notNull())
    .addPrimaryKeyConstraint('log_tiles_pk', ['level', 'tile'])
    .execute();
  await refuseChanges(db, 'log_tiles', [['level', 'tile']]);
  await buildTree(db as Kysely<TreeSchema>);
}

async function buildTree(db: Kysely<TreeSchema>): Promise<void> {
  const addHash = tileBuilder(db);
  let frontier = EMPTY_FRONTIER;
  for (;;) {
    const page = await db
      .selectFrom('leaves')
      .select(['place', 'leaf'])
      .where('place', '>', frontier.size)
      .orderBy('place')
      .limit(TILE_WIDTH)
      .execute();
    for (const { place, leaf } of page) {
      if (place !== frontier.size + 1)
        throw new Error(`the decision log has no leaf at place ${frontier.size + 1}`);
      const hash = leafHash(leaf);
      frontier = withLeaf(frontier, hash);
      await addHash(0, hash);
    }
    if (page.length < TILE_WIDTH) break;
  }
  const { size } = await db.selectFrom('log_head').select('size').executeTakeFirstOrThrow();
  if (size !== frontier.size)
    throw new Error(`the head of the decision log counts ${size} records, but there are ${frontier.size}`);
  await db
    .updateTable('log_head')
    .set({ root: rootOf(frontier).toString('base64'), frontier: frontierText.write(frontier) })
    .execute();
}

/** Collects the hashes of each level, and stores each tile once it is complete. */
function tileBuilder(db: Kysely<TreeSchema>): (level: number, hash: Buffer) => Promise<void> {
  const levels: { hashes: Buffer[]; tile: number }[] = [];
  return async function add(level, hash) {
    levels[level] ??= { hashes: [], tile: 0 };
    const { hashes, tile } = levels[level];
    hashes.push(hash);
    if (hashes.length < TILE_WIDTH) return;
    const root = rootOfComplete(hashes);
    await db
      .insertInto('log_tiles')
      .values({ level, tile, hashes: Buffer.concat(hashes), root })
      .execute();
    levels[level] = { hashes: [], tile: tile + 1 };
    await add(level + 1, root);
  };
}
