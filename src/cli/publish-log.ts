import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, openCheckpoint } from '../tree/checkpoint.ts';
import { LogFault } from '../tree/fault.ts';
import type { NoteVerifier } from '../tree/note.ts';
import { TILE_WIDTH, tilePath, tilesOf, widthIn } from '../tree/tiles.ts';
import { verifyLog } from '../tree/verify-log.ts';
import type { LogSource } from './log-source.ts';
import { replaceFile } from './replace-file.ts';

/** The name of the checkpoint in a published log. */
const CHECKPOINT = 'checkpoint';

/** What a run published. */
export interface Published {
  origin: string;
  size: number;
  /** The number of files that this run wrote. */
  files: number;
}

/**
 * Brings a published log up to date. Every file is verified before it is written, and the checkpoint is written last, so
 * that the folder has a complete log at every moment. What an interrupted run left is used, if it is right.
 *
 * @throws LogFault if the log is not what its checkpoint says, or does not continue what is published
 */
export async function publishLog(
  source: LogSource,
  { folder, verifier }: { folder: string; verifier: NoteVerifier },
): Promise<Published> {
  const note = String(await source.read(CHECKPOINT));
  const checkpoint = openCheckpoint(note, verifier);
  const { origin, size } = checkpoint;
  const since = await publishedIn(folder, verifier);
  if (since?.size === size && since.root.equals(checkpoint.root)) return { origin, size, files: 0 };
  let files = 0;
  await verifyLog({
    checkpoint,
    since,
    read: (path) => source.read(path),
    verified: async (path, bytes) => {
      const file = join(folder, path);
      const present = await readFile(file).catch(() => null);
      if (present?.equals(bytes) === true) return;
      await replaceFile(file, bytes);
      files += 1;
    },
  });
  await replaceFile(join(folder, CHECKPOINT), note);
  if (since !== undefined) await removePartial(folder, since, checkpoint);
  return { origin, size, files: files + 1 };
}

/** The checkpoint that is published, or undefined. @throws LogFault if it is of another log */
async function publishedIn(folder: string, verifier: NoteVerifier): Promise<Checkpoint | undefined> {
  const note = await readFile(join(folder, CHECKPOINT), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new LogFault(`the published checkpoint cannot be read: ${error.message}`);
  });
  if (note === null) return undefined;
  try {
    const { size, ...rest } = openCheckpoint(note, verifier);
    return size === 0 ? undefined : { size, ...rest };
  } catch (error) {
    throw new LogFault(`${join(folder, CHECKPOINT)}: ${(error as Error).message}; publish to another folder`);
  }
}

/** Removes partial tiles of tiles that are complete now. */
async function removePartial(folder: string, since: Checkpoint, { size }: Checkpoint): Promise<void> {
  for (const tile of tilesOf(since.size, since.size)) {
    if (widthIn({ ...tile, level: tile.level ?? 0 }, size) < TILE_WIDTH) continue;
    const partial = tilePath(tile).replace(/\/\d+$/, '');
    await rm(join(folder, partial), { recursive: true, force: true });
  }
}
