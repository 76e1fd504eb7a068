import { type Checkpoint, parseUnverified } from '../../tree/checkpoint.ts';
import { type Cosignature, type Cosigner, openCosignatures } from '../../tree/cosignature.ts';
import { LogFault, UnreadableFile } from '../../tree/fault.ts';
import type { KeyChain } from '../../tree/key-chain.ts';
import { keysOfNote, type NoteVerifier, openNote, signaturesOf, textOfNote } from '../../tree/note.ts';
import { type ReadLogFile, verifyContinues } from '../../tree/verify-log.ts';

/*
 * What the witnesses of a log say. The newest checkpoint is seldom cosigned yet, so the largest one that is has a file of its own.
 */

/** The file with the largest checkpoint that a quorum has cosigned. */
export const COSIGNED = 'cosigned';

/** Which witnesses are believed, and how many of them must agree. */
export interface WitnessDemand {
  known: readonly Cosigner[];
  quorum: number;
}

/** What a quorum of witnesses agrees on. */
export interface CosignedState {
  quorum: number;
  /** The number of records that they have cosigned. */
  size: number;
  /** When the quorum was complete, by the clocks of the witnesses. */
  at_ms: number;
  /** The witnesses that have cosigned it. */
  witnesses: { name: string; key: string; at_ms: number }[];
}

/** A signature of a checkpoint by a key that nobody named. */
export interface UnknownSigner {
  name: string;
  /** The id of the key. */
  id: string;
}

/** Too few of the known witnesses have cosigned what the log says. */
export class QuorumMissing extends LogFault {}

/**
 * Verifies the cosignatures of a log whose leaves and tiles were verified.
 *
 * @param log.note its latest checkpoint, as it was served
 * @throws LogFault if a witness did not make its cosignature, or has cosigned what the log does not continue
 * @throws QuorumMissing if too few witnesses agree on one checkpoint
 */
export async function verifyCosigned(
  log: { note: string; checkpoint: Checkpoint; read: ReadLogFile; chain: KeyChain },
  { known, quorum }: WitnessDemand,
): Promise<CosignedState> {
  const { checkpoint, read, chain } = log;
  const found = [...(await readCosigned(read)), log.note].flatMap((note) => {
    const cosignatures = openCosignatures(textOfNote(note), signaturesOf(note), known);
    return cosignatures.length === 0 ? [] : [{ note, cosignatures: newestOfEach(cosignatures) }];
  });
  let best: CosignedState | null = null;
  let most = 0;
  for (const { note, cosignatures } of found) {
    // Files of a log that grows meanwhile: the next look has both.
    if (parseUnverified(note, checkpoint.origin).size > checkpoint.size) continue;
    const cosigned = openContinued(note, chain);
    // Every log continues an empty one, so this says nothing of one with leaves.
    if (cosigned.size === 0 && checkpoint.size > 0) continue;
    await verifyContinues({ checkpoint, read }, cosigned).catch((error: unknown) => {
      if (!(error instanceof LogFault) || error instanceof UnreadableFile) throw error;
      const names = cosignatures.map(({ cosigner }) => cosigner.name).join(', ');
      throw new LogFault(`${error.message}, which ${names} cosigned`);
    });
    most = Math.max(most, cosignatures.length);
    if (cosignatures.length >= quorum && cosigned.size >= (best?.size ?? 0))
      best = stateOf(cosigned, cosignatures, quorum);
  }
  if (best === null)
    throw new QuorumMissing(
      `only ${most} of the ${known.length} known witnesses cosigned this log, and ${quorum} must agree on one checkpoint`,
    );
  return best;
}

/** The keys that signed a checkpoint and are neither of the log nor of a known witness. */
export function unknownSigners(
  note: string,
  chain: Pick<KeyChain, 'keys'>,
  known: readonly Cosigner[],
): UnknownSigner[] {
  const all = [...chain.keys().map(({ verifier }) => verifier), ...known];
  return keysOfNote(note).filter(({ name, id }) => !all.some((key) => key.name === name && key.id === id));
}

/** The file is absent from a log without witnesses, and in one that an earlier version published. */
async function readCosigned(read: ReadLogFile): Promise<string[]> {
  try {
    return [String(await read(COSIGNED))];
  } catch (error) {
    if (error instanceof UnreadableFile) return [];
    throw error;
  }
}

/** A witness vouches for what the log's own key signed. */
function openContinued(note: string, chain: KeyChain): Checkpoint {
  try {
    return chain.open(note);
  } catch (error) {
    if (!(error instanceof LogFault)) throw error;
    throw new LogFault(`the file ${COSIGNED}: ${error.message}`);
  }
}

function newestOfEach(cosignatures: readonly Cosignature[]): Cosignature[] {
  const newest = new Map<string, Cosignature>();
  for (const one of cosignatures) {
    const before = newest.get(one.cosigner.vkey);
    if (before === undefined || before.time_s < one.time_s) newest.set(one.cosigner.vkey, one);
  }
  return [...newest.values()];
}

function stateOf({ size }: Checkpoint, cosignatures: readonly Cosignature[], quorum: number): CosignedState {
  const times = cosignatures.map(({ time_s }) => time_s).toSorted((a, b) => b - a);
  return {
    quorum,
    size,
    at_ms: (times[quorum - 1] ?? 0) * 1000,
    witnesses: cosignatures.map(({ cosigner: { name, vkey }, time_s }) => ({
      name,
      key: vkey,
      at_ms: time_s * 1000,
    })),
  };
}

/**
 * Reads the file of a log whose tiles were verified, to publish it.
 *
 * @param log.keys the keys of which one must have signed it
 * @returns null if there is none, or if it is ahead of the checkpoint
 * @throws LogFault if the log does not continue it
 */
export async function openCosigned({
  checkpoint,
  keys,
  read,
}: {
  checkpoint: Checkpoint;
  keys: readonly NoteVerifier[];
  read: ReadLogFile;
}): Promise<string | null> {
  const [note] = await readCosigned(read);
  if (note === undefined) return null;
  const cosigned = parseUnverified(note, checkpoint.origin);
  if (cosigned.size > checkpoint.size) return null;
  openNote(note, keys);
  await verifyContinues({ checkpoint, read }, cosigned);
  return note;
}
