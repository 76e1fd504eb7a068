import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { append } from '../../src/log/append.ts';
import { openStore } from '../../src/store/database.ts';
import { listTileHashes, listTileLeaves } from '../../src/store/log-tiles.ts';
import { migrations } from '../../src/store/migrations.ts';
import type { Store } from '../../src/store/store.ts';
import { treeRoot } from '../../src/tree/proofs.ts';
import { subtreesFrom, tilesOf, widthIn } from '../../src/tree/tiles.ts';
import { appendTo, entryOf } from '../support/entries.ts';
import { connectionTo, schemaOf, statementsDuring } from '../support/sqlite/file.ts';
import { insertFormerLeaves, readHead, readLeaves, readTiles, refuseHead } from '../support/sqlite/log.ts';
import { tileHashes, treeHash } from '../support/tree-oracle.ts';

/* The tree in the database is that of its leaves, whatever became of the writes. */

let folder: string;
let file: string;
let store: Store;

const open = () => openStore({ file, clock: () => 1_795_000_000_000 });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tree-'));
  file = join(folder, 'tree.db');
  store = await open();
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** The leaves as bytes. */
function leavesIn(): Buffer[] {
  return readLeaves(file).map(({ leaf }) => Buffer.from(leaf));
}

/** Compares head and tiles with the oracle's tree over the stored leaves. */
function expectTree(): number {
  const leaves = leavesIn();
  const { size, root } = readHead(file);
  expect(size).toBe(leaves.length);
  expect(root).toBe(treeHash(leaves).toString('base64'));
  const tiles = readTiles(file);
  const complete = [...tilesOf(size)].filter(({ level, width }) => level !== null && width === 256);
  expect(tiles.map(({ level, tile }) => [level, tile])).toEqual(
    complete.map(({ level, index }) => [level, index]),
  );
  for (const { level, tile, hashes, root: over } of tiles) {
    const expected = tileHashes(level, tile, leaves);
    expect(hashes.equals(Buffer.concat(expected))).toBe(true);
    expect(over).toEqual(treeHash(leaves.slice(tile * 256 ** (level + 1), (tile + 1) * 256 ** (level + 1))));
  }
  return size;
}

/** Appends so many records in one write. */
function appendMany(count: number): Promise<void> {
  return store.writer.write(async (tx) => {
    for (let turn = 0; turn < count; turn += 1) await append(tx, entryOf(tx));
  });
}

describe('the stored tree', () => {
  it('of no leaves has the root of an empty tree', () => {
    expect(expectTree()).toBe(0);
  });

  it('has every leaf, whichever of many writes at once fail', async () => {
    await Promise.allSettled(
      Array.from({ length: 400 }, (_, turn) =>
        store.writer.write(async (tx) => {
          await append(tx, entryOf(tx));
          if (turn % 3 === 1) throw new BrokerError('invalid_change', 'no');
          if (turn % 5 === 0) await append(tx, entryOf(tx));
        }),
      ),
    );
    expect(expectTree()).toBeGreaterThan(256);
  });

  it('goes on after a restart, and after a batch that could not be sealed', async () => {
    await appendMany(255);
    const allowHead = refuseHead(file);
    await expect(appendTo(store)).rejects.toMatchObject({ code: 'not_recorded' });
    allowHead();
    expect(expectTree()).toBe(255);
    await store.close();
    store = await open();
    await appendTo(store);
    expect(expectTree()).toBe(256);
    await appendTo(store);
    expect(expectTree()).toBe(257);
  });

  it('has several tiles that one batch completed', async () => {
    await appendMany(100);
    await appendMany(900);
    expect(expectTree()).toBe(1000);
  });

  it('is read as tiles and bundles of every width', async () => {
    await appendMany(600);
    const leaves = leavesIn();
    for (const size of [1, 255, 256, 257, 512, 600]) {
      for (const { level, index, width } of tilesOf(size)) {
        if (level === null) {
          const part = leaves.slice(index * 256, index * 256 + width).map(String);
          expect(await listTileLeaves(store.read, { index, width })).toEqual(part);
        } else {
          const expected = tileHashes(level, index, leaves.slice(0, size));
          expect(await listTileHashes(store.read, { level, index, width })).toEqual(expected);
        }
      }
      const root = await treeRoot(size, (subtrees) =>
        subtreesFrom(subtrees, (tile) => listTileHashes(store.read, { ...tile, level: tile.level ?? 0 })),
      );
      expect(root).toEqual(treeHash(leaves.slice(0, size)));
    }
    expect(await listTileLeaves(store.read, { index: 2, width: 256 })).toHaveLength(
      widthIn({ level: 0, index: 2 }, 600),
    );
    expect(await listTileHashes(store.read, { level: 0, index: 3, width: 1 })).toEqual([]);
  });

  it('costs no statement of a write, and at most four of a batch', async () => {
    await appendMany(200);
    const count = async (records: number) => {
      const statements = await statementsDuring(() => appendMany(records));
      return statements.filter((text) => /log_tiles|select .* from "leaves" where "place" >/.test(text));
    };
    expect(await count(1)).toEqual([]);
    const completing = await count(100);
    expect(completing.length).toBeGreaterThan(0);
    expect(completing.length).toBeLessThanOrEqual(4);
  });
});

describe('a database from before the tree', () => {
  /** Leaves as texts, by place. */
  const formerLeaves = (count: number) =>
    new Map(Array.from({ length: count }, (_, at) => [at + 1, `{"n":${at + 1}}`] as const));

  /** Puts a database in the place of the file, in the schema before there was a tree. */
  async function beginFormer(leaves: ReadonlyMap<number, string>): Promise<void> {
    await store.close();
    file = join(folder, 'former.db');
    const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: connectionTo(file) }) });
    const all = Object.entries(await migrations.getMigrations());
    const getMigrations = async () => Object.fromEntries(all.filter(([name]) => name < '0020_tree'));
    const { error } = await new Migrator({ db, provider: { getMigrations } }).migrateToLatest();
    expect(error).toBeUndefined();
    await db.destroy();
    insertFormerLeaves(file, leaves);
  }

  it('gets the tree of its leaves, whose bytes stay', async () => {
    const former = formerLeaves(700);
    await beginFormer(former);
    store = await open();
    expect(expectTree()).toBe(700);
    expect(readLeaves(file).map(({ leaf }) => leaf)).toEqual([...former.values()]);
    await appendMany(100);
    expect(expectTree()).toBe(800);
  });

  it('of no records has an empty tree', async () => {
    await beginFormer(new Map());
    store = await open();
    expect(expectTree()).toBe(0);
  });

  it('is refused, and stays as it was, if a leaf is missing', async () => {
    const former = formerLeaves(300);
    await beginFormer(new Map([...former].filter(([place]) => place !== 200)));
    const schema = schemaOf(file);
    await expect(open()).rejects.toThrow('could not migrate');
    expect(schemaOf(file)).toEqual(schema);
    insertFormerLeaves(file, new Map([[200, former.get(200) ?? '']]));
    store = await open();
    expect(expectTree()).toBe(300);
  });

  it('goes on over the end of a tile of tiles', async () => {
    await beginFormer(formerLeaves(65_500));
    store = await open();
    await appendMany(100);
    const leaves = leavesIn();
    expect(readHead(file)).toMatchObject({ size: 65_600, root: treeHash(leaves).toString('base64') });
    const tiles = readTiles(file);
    expect(tiles).toHaveLength(257);
    expect(tiles.at(-1)).toMatchObject({ level: 1, tile: 0, root: treeHash(leaves.slice(0, 65_536)) });
    expect(tiles.at(-1)?.hashes).toEqual(Buffer.concat(tileHashes(1, 0, leaves)));
    const top = { level: 2, index: 0, width: 1 };
    expect(await listTileHashes(store.read, top)).toEqual(tileHashes(2, 0, leaves));
  }, 60_000);
});
