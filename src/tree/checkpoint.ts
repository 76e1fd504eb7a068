import { parseBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { LogFault } from './fault.ts';
import { EMPTY_ROOT, HASH_BYTES } from './hashes.ts';
import { type NoteSigner, type NoteVerifier, openNote, signNote } from './note.ts';

/** The statement of a log about itself. @see https://c2sp.org/tlog-checkpoint */
export interface Checkpoint {
  /** The name of the log. */
  origin: string;
  /** The number of leaves. */
  size: number;
  root: Buffer;
}

/** Signs a checkpoint. The log's key has the name of its origin. */
export function signCheckpoint({ size, root }: Omit<Checkpoint, 'origin'>, signer: NoteSigner): string {
  return signNote(`${signer.verifier.name}\n${size}\n${root.toString('base64')}\n`, [signer]);
}

/**
 * Verifies a checkpoint with the log's key, and reads it.
 *
 * @throws LogFault if it is malformed, of another log, or not signed by that key
 */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint {
  const origin = note.split('\n', 1)[0] ?? '';
  if (origin !== verifier.name)
    throw new LogFault(
      `the checkpoint is of another log: its origin is ${JSON.stringify(origin.slice(0, 200))}, and the key is of ${JSON.stringify(verifier.name)}`,
    );
  return parseCheckpoint(openNote(note, [verifier]).text);
}

/** Reads the text of a checkpoint. Lines after the third are extensions, which are signed and otherwise ignored. */
function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', count = '', encoded = '', ...extensions] = text.slice(0, -1).split('\n');
  const size = parseDecimal(count);
  if (size === null)
    throw new LogFault(
      `the checkpoint has no valid size: ${JSON.stringify(count.slice(0, 40))} is not a number of leaves`,
    );
  const root = parseBase64(encoded);
  if (root?.length !== HASH_BYTES) throw new LogFault('the checkpoint has no valid root hash');
  if (extensions.includes('')) throw new LogFault('the checkpoint has an empty line');
  if (size === 0 && !root.equals(EMPTY_ROOT))
    throw new LogFault('the checkpoint of an empty log has another root');
  return { origin, size, root };
}
