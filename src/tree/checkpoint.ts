import { parseBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { LogFault } from './fault.ts';
import { EMPTY_ROOT, HASH_BYTES } from './hashes.ts';
import { type NoteSigner, type NoteVerifier, openNote, signNote, textOfNote } from './note.ts';

/** The statement of a log about itself. @see https://c2sp.org/tlog-checkpoint */
export interface Checkpoint {
  /** The name of the log. */
  origin: string;
  /** The number of leaves. */
  size: number;
  root: Buffer;
}

/** Signs a checkpoint. The log's keys have the name of its origin. @param signer the key; those after it sign, too */
export function signCheckpoint(
  { size, root }: Omit<Checkpoint, 'origin'>,
  ...[signer, ...others]: readonly [NoteSigner, ...NoteSigner[]]
): string {
  return signNote(`${signer.verifier.name}\n${size}\n${root.toString('base64')}\n`, [signer, ...others]);
}

/**
 * Verifies a checkpoint with the log's key, and reads it.
 *
 * @throws LogFault if it is malformed, of another log, or not signed by that key
 */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint {
  assertOrigin(note, verifier.name);
  return parseCheckpoint(openNote(note, [verifier]).text);
}

/**
 * Reads a checkpoint whose signatures have yet to be verified, with other keys than one that is known in advance.
 *
 * @throws LogFault if it is malformed or of another log
 */
export function parseUnverified(note: string, origin: string): Checkpoint {
  assertOrigin(note, origin);
  return parseCheckpoint(textOfNote(note));
}

function assertOrigin(note: string, expected: string): void {
  const origin = note.split('\n', 1)[0] ?? '';
  if (origin !== expected)
    throw new LogFault(
      `the checkpoint is of another log: its origin is ${JSON.stringify(origin.slice(0, 200))}, and the key is of ${JSON.stringify(expected)}`,
    );
}

/** Reads the text of a checkpoint. Lines after the third are extensions, which are signed and otherwise ignored. */
export function parseCheckpoint(text: string): Checkpoint {
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
