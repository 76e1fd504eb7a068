import { COSIGNED, openCosigned } from '../audit/verify/cosigned.ts';
import { type Checkpoint, openCheckpoint, parseUnverified } from '../tree/checkpoint.ts';
import { LogFault } from '../tree/fault.ts';
import { keysOfNote, type NoteVerifier } from '../tree/note.ts';
import { TILE_WIDTH, tilePath, tilesOf, widthIn } from '../tree/tiles.ts';
import { verifyLog } from '../tree/verify-log.ts';
import { verifySignedLog } from '../tree/verify-signed-log.ts';
import type { LogSource } from './log-source.ts';
import type { LogTarget } from './log-target.ts';

/** The name of the checkpoint in a published log. */
const CHECKPOINT = 'checkpoint';

/** What a run published. */
export interface Published {
  origin: string;
  size: number;
  /** The number of files that this run wrote. */
  files: number;
  /** The key that signs now, which is another than the pinned one once that was rotated out. */
  key: NoteVerifier;
}

/**
 * Brings a published log up to date. Every file is verified before it is written, and the checkpoint is written last, so
 * that a complete log is there at every moment. What an interrupted run left is used, if it is right. A longer log is never
 * overwritten.
 *
 * @param options.pinned a key of the log
 * @throws LogFault if the log is not what its checkpoint says, or does not continue what is published
 */
export async function publishLog(
  source: LogSource,
  { target, pinned }: { target: LogTarget; pinned: NoteVerifier },
): Promise<Published> {
  const note = String(await source.read(CHECKPOINT));
  const present = await publishedIn(target, pinned);
  const { checkpoint, key } = await openSigned(source, { note, present: present?.note ?? null, pinned });
  const { origin, size } = checkpoint;
  if (present?.note === note) return { origin, size, files: 0, key };
  const since = present === null || present.checkpoint.size === 0 ? undefined : present.checkpoint;
  let files = 0;
  await verifyLog({
    checkpoint,
    since,
    read: (path) => source.read(path),
    verified: async (path, bytes) => {
      const published = await target.read(path);
      if (published?.equals(bytes) === true) return;
      await target.write(path, bytes);
      files += 1;
    },
  });
  files += await publishCosigned(source, { target, checkpoint, keys: [pinned, key] });
  await target.write(CHECKPOINT, note);
  if (since !== undefined) await removePartial(target, since, checkpoint);
  return { origin, size, files: files + 1, key };
}

/** Publishes what the witnesses have cosigned last. @returns how many files that are */
async function publishCosigned(
  { read }: LogSource,
  { target, ...log }: { target: LogTarget; checkpoint: Checkpoint; keys: readonly NoteVerifier[] },
): Promise<number> {
  const cosigned = await openCosigned({ ...log, read });
  if (cosigned === null || String(await target.read(COSIGNED)) === cosigned) return 0;
  await target.write(COSIGNED, cosigned);
  return 1;
}

/**
 * Opens the checkpoint. Where other keys signed it than the published one, or not the pinned key, every leaf is read first,
 * because the leaves say who may sign.
 */
async function openSigned(
  source: LogSource,
  { note, present, pinned }: { note: string; present: string | null; pinned: NoteVerifier },
): Promise<{ checkpoint: Checkpoint; key: NoteVerifier }> {
  const signers = signersOf(note, pinned);
  const isPinned = signers.includes(pinned.id);
  if (isPinned && (present === null || signersOf(present, pinned).join() === signers.join()))
    return { checkpoint: openCheckpoint(note, pinned), key: pinned };
  const { checkpoint, keys } = await verifySignedLog({
    note,
    pinned,
    ...(present === null ? {} : { older: present }),
    read: (path) => source.read(path),
  });
  return { checkpoint, key: keys.at(-1)?.verifier ?? pinned };
}

/** The ids of the log's own keys that signed a checkpoint. */
function signersOf(note: string, { name }: NoteVerifier): string[] {
  return keysOfNote(note).flatMap((key) => (key.name === name ? [key.id] : []));
}

/** The checkpoint that is published, or null. @throws LogFault if it is of another log */
async function publishedIn(
  target: LogTarget,
  pinned: NoteVerifier,
): Promise<{ note: string; checkpoint: Checkpoint } | null> {
  const bytes = await target.read(CHECKPOINT);
  if (bytes === null) return null;
  const note = String(bytes);
  try {
    return { note, checkpoint: parseUnverified(note, pinned.name) };
  } catch (error) {
    const place = `${target.name}/${CHECKPOINT}`;
    throw new LogFault(`${place}: ${(error as Error).message}; publish to another place`);
  }
}

/** Removes partial tiles of tiles that are complete now. */
async function removePartial(target: LogTarget, since: Checkpoint, { size }: Checkpoint): Promise<void> {
  for (const tile of tilesOf(since.size, since.size)) {
    if (widthIn({ ...tile, level: tile.level ?? 0 }, size) < TILE_WIDTH) continue;
    const partial = tilePath(tile).replace(/\/\d+$/, '');
    await target.removePartial(partial);
  }
}
