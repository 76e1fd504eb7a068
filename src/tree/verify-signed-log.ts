import { type Checkpoint, openCheckpoint, parseUnverified } from './checkpoint.ts';
import { LogFault } from './fault.ts';
import { createKeyChain, type LogKeyAt } from './key-chain.ts';
import { keysOfNote, type NoteVerifier } from './note.ts';
import { type LogVerification, verifyLog } from './verify-log.ts';

/** What a verification of a log is given that one key is believed of. */
export interface SignedLogVerification extends Pick<LogVerification, 'read' | 'verified' | 'leaves'> {
  /** The signed checkpoint. */
  note: string;
  /** A key of the log, whichever: the later ones are found in its leaves. */
  pinned: NoteVerifier;
  /** An older signed checkpoint, which the log must continue. */
  older?: string | undefined;
}

/** A log that was verified. */
export interface VerifiedLog {
  checkpoint: Checkpoint;
  older: Checkpoint | undefined;
  /** The keys of the log, the first one first. */
  keys: readonly LogKeyAt[];
}

/**
 * Verifies every leaf and every tile of a log, and that its checkpoint is signed by the key that the log had at that size,
 * which is found from the pinned one on.
 *
 * @throws LogFault for the first fault
 */
export async function verifySignedLog(given: SignedLogVerification): Promise<VerifiedLog> {
  const { note, pinned, older, read, verified, leaves } = given;
  // Most faults are found here, before anything is read.
  const { checkpoint, unsigned } = readNote(note, pinned);
  const former = older === undefined ? undefined : readNote(older, pinned);
  const chain = createKeyChain(pinned);
  try {
    await verifyLog({
      checkpoint,
      read,
      ...(verified === undefined ? {} : { verified }),
      continues: former?.checkpoint,
      leaves: (bundle, index) => {
        for (const [at, leaf] of bundle.entries()) chain.add(leaf, index + at);
        return leaves?.(bundle, index);
      },
    });
  } catch (error) {
    // Whose log this is comes before what is wrong with it.
    throw unsigned !== null && error instanceof LogFault && chain.keys().length === 1 ? unsigned : error;
  }
  if (chain.keys().length === 1) for (const fault of [unsigned, former?.unsigned]) if (fault) throw fault;
  chain.open(note);
  if (older !== undefined) chain.open(older);
  return { checkpoint, older: former?.checkpoint, keys: chain.keys() };
}

/**
 * Reads a checkpoint whose other keys are not known yet.
 *
 * @returns with the fault that the pinned key has not signed it, which a later key may have
 * @throws LogFault if it is malformed, of another log, or a signature of the pinned key does not fit
 */
export function readNote(
  note: string,
  pinned: NoteVerifier,
): { checkpoint: Checkpoint; unsigned: LogFault | null } {
  const checkpoint = parseUnverified(note, pinned.name);
  try {
    openCheckpoint(note, pinned);
    return { checkpoint, unsigned: null };
  } catch (error) {
    if (error instanceof LogFault && isOnlyUnsigned(note, pinned)) return { checkpoint, unsigned: error };
    throw error;
  }
}

function isOnlyUnsigned(note: string, pinned: NoteVerifier): boolean {
  return !keysOfNote(note).some(({ name, id }) => name === pinned.name && id === pinned.id);
}
