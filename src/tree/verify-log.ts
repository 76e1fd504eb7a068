import type { Checkpoint } from './checkpoint.ts';
import { LogFault } from './fault.ts';
import { leafHash, rootOfComplete } from './hashes.ts';
import { treeRoot } from './proofs.ts';
import {
  completeTiles,
  parseBundle,
  parseTile,
  subtreesFrom,
  TILE_WIDTH,
  type Tile,
  TOP_LEVEL,
  tilePath,
  widthIn,
} from './tiles.ts';

/** Reads a file of the log by its path. @throws LogFault if there is none */
export type ReadLogFile = (path: string) => Promise<Buffer>;

/** What a verification is given. */
export interface LogVerification {
  /** A checkpoint whose signature was verified. */
  checkpoint: Checkpoint;
  read: ReadLogFile;
  /** An older checkpoint that the log must continue, with its signature verified. */
  continues?: Checkpoint | undefined;
  /** The same, of a log whose every leaf was verified: tiles that were complete then are left out. */
  since?: Checkpoint | undefined;
  /** Called with each file once its content is verified. */
  verified?: (path: string, bytes: Buffer) => Promise<void>;
  /** Called with the leaves of each bundle, in order. @param index that of the first one */
  leaves?: (leaves: readonly Buffer[], index: number) => void | Promise<void>;
}

/**
 * Verifies that the tiles and the leaves of a log are those of a checkpoint, from the root down: a hash is compared with
 * one that is already verified, so the first fault names the file that is wrong, or the leaf.
 *
 * @throws LogFault for the first fault
 */
export async function verifyLog(given: LogVerification): Promise<void> {
  const edge = await verifyEdge(given);
  if (given.since !== undefined) await verifyContinues(given, given.since);
  for (let level = edge.length - 1; level >= 0; level -= 1) {
    const tile = edge[level];
    if (tile === undefined) continue;
    if (level === 0) await verifyBundle(given, { ...tile, level: null }, tile.hashes);
    else await verifyBelow(given, { ...tile, level }, tile.hashes);
  }
  // Last, so that a tile that was changed is not taken for another history.
  if (given.continues !== undefined) await verifyContinues(given, given.continues);
}

interface EdgeTile extends Tile {
  hashes: Buffer[];
}

/** The partial tile at the right edge of each level, verified with the root. */
async function verifyEdge({
  checkpoint,
  read,
  verified,
}: LogVerification): Promise<(EdgeTile | undefined)[]> {
  const { size, root } = checkpoint;
  const edge: (EdgeTile | undefined)[] = [];
  const files: { path: string; bytes: Buffer }[] = [];
  for (let level = 0; level <= TOP_LEVEL; level += 1) {
    const index = completeTiles(level, size);
    const tile = { level, index, width: widthIn({ level, index }, size) };
    if (tile.width === 0) continue;
    const path = tilePath(tile);
    const bytes = await read(path);
    files.push({ path, bytes });
    edge[level] = { ...tile, hashes: parseTile(bytes, tile) };
  }
  const found = await treeRoot(size, (subtrees) =>
    subtreesFrom(subtrees, async ({ level }) => edge[level ?? 0]?.hashes ?? []),
  );
  if (!found.equals(root)) {
    const paths = files.map(({ path }) => path).join(', ');
    throw new LogFault(
      `the tiles do not have the root of the checkpoint with ${size} leaves: one of ${paths} was changed, or is of another log`,
    );
  }
  for (const { path, bytes } of files) await verified?.(path, bytes);
  return edge;
}

/** Verifies the tiles that the hashes of a verified tile are the roots of. */
async function verifyBelow(
  given: LogVerification,
  parent: Tile & { level: number },
  hashes: readonly Buffer[],
): Promise<void> {
  const level = parent.level - 1;
  const first = parent.index * TILE_WIDTH;
  const from = given.since === undefined ? 0 : completeTiles(level, given.since.size) - first;
  const below = hashes.map((expected, at) => ({
    tile: { level, index: first + at, width: TILE_WIDTH },
    expected,
  }));
  const ahead = readAhead(given.read);
  for (const [at, { tile, expected }] of below.entries()) {
    if (at < from) continue;
    for (const next of below.slice(at, at + FILES_AHEAD)) {
      ahead.start(tilePath(next.tile));
      if (level === 0) ahead.start(tilePath({ ...next.tile, level: null }));
    }
    await verifyTile({ ...given, read: ahead.read }, tile, { expected, parent });
  }
}

/** How many tiles, each with its leaves, are read while the one before them is verified. */
const FILES_AHEAD = 4;

/** Reads files before they are needed. One that cannot be read is a fault when it is needed, not before. */
function readAhead(read: ReadLogFile): { start(path: string): void; read: ReadLogFile } {
  const started = new Map<string, Promise<Buffer>>();
  return {
    start: (path) => {
      if (started.has(path)) return;
      const reading = read(path);
      reading.catch(() => undefined);
      started.set(path, reading);
    },
    read: (path) => {
      const reading = started.get(path) ?? read(path);
      started.delete(path);
      return reading;
    },
  };
}

async function verifyTile(
  given: LogVerification,
  tile: Tile & { level: number },
  { expected, parent }: { expected: Buffer; parent: Tile },
): Promise<void> {
  const path = tilePath(tile);
  const bytes = await given.read(path);
  const hashes = parseTile(bytes, tile);
  if (!rootOfComplete(hashes).equals(expected))
    throw new LogFault(
      `${path} was changed, or is of another log: its root is not the one in ${tilePath(parent)}`,
    );
  await given.verified?.(path, bytes);
  if (tile.level === 0) await verifyBundle(given, { ...tile, level: null }, hashes);
  else await verifyBelow(given, tile, hashes);
}

async function verifyBundle(given: LogVerification, tile: Tile, hashes: readonly Buffer[]): Promise<void> {
  const path = tilePath(tile);
  const bytes = await given.read(path);
  const leaves = parseBundle(bytes, tile);
  const first = tile.index * TILE_WIDTH;
  for (const [at, leaf] of leaves.entries()) {
    if (hashes[at]?.equals(leafHash(leaf)) !== true)
      throw new LogFault(
        `the record at place ${first + at + 1} was changed: leaf ${first + at} in ${path} does not have its hash in the tree`,
      );
  }
  await given.verified?.(path, bytes);
  await given.leaves?.(leaves, first);
}

/**
 * Verifies that a log continues an older checkpoint. Its tiles must have been verified before.
 *
 * @throws LogFault if it does not
 */
export async function verifyContinues(
  { checkpoint, read }: Pick<LogVerification, 'checkpoint' | 'read'>,
  since: Checkpoint,
): Promise<void> {
  const { size } = checkpoint;
  if (since.size === 0) return;
  if (since.size > size)
    throw new LogFault(
      `the log was cut off: it has ${size} leaves, and the older checkpoint has ${since.size}`,
    );
  const root = await rootOfFirst({ checkpoint, read }, since.size);
  if (!root.equals(since.root))
    throw new LogFault(
      `the log has another history: its first ${since.size} leaves are not those of the older checkpoint`,
    );
}

/** The root over the first leaves of a log, by its tiles, which must have been verified before. */
export function rootOfFirst(
  { checkpoint, read }: Pick<LogVerification, 'checkpoint' | 'read'>,
  size: number,
): Promise<Buffer> {
  return treeRoot(size, (subtrees) =>
    subtreesFrom(subtrees, async ({ level, index }) => {
      const tile = { level, index, width: widthIn({ level: level ?? 0, index }, checkpoint.size) };
      return parseTile(await read(tilePath(tile)), tile);
    }),
  );
}
