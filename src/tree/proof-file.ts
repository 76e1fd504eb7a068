import { parseBase64 } from './base64.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { parseDecimal } from './decimal.ts';
import { LogFault } from './fault.ts';
import { HASH_BYTES, leafHash } from './hashes.ts';
import type { NoteVerifier } from './note.ts';
import { verifyInclusion } from './proofs.ts';
import { MAX_ENTRY_BYTES } from './tiles.ts';

/*
 * Proof files: one leaf, its inclusion proof and a checkpoint in one file, which anybody verifies with nothing but the
 * log's key. @see https://c2sp.org/tlog-proof
 */

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A way to the root of the largest tree that can be counted. */
const MAX_HASHES = 53;

/** The content of a proof file. */
export interface ProofFile {
  /** The leaf, as the file's extra data. */
  leaf: Buffer;
  index: number;
  proof: readonly Buffer[];
  /** The signed checkpoint. */
  checkpoint: string;
}

/** Writes a proof file. */
export function formatProofFile({ leaf, index, proof, checkpoint }: ProofFile): string {
  const lines = [
    HEADER,
    `extra ${leaf.toString('base64')}`,
    `index ${index}`,
    ...proof.map((hash) => hash.toString('base64')),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

/**
 * Verifies a proof file.
 *
 * @returns the leaf, its index and the checkpoint that it is proved for
 * @throws LogFault if the file is malformed, or does not prove that its leaf is in the log of that key
 */
export function verifyProofFile(
  text: string,
  verifier: NoteVerifier,
): { leaf: Buffer; index: number; checkpoint: Checkpoint } {
  const { leaf, index, proof, checkpoint: note } = parseProofFile(text);
  const checkpoint = openCheckpoint(note, verifier);
  verifyInclusion({ index, size: checkpoint.size, leaf: leafHash(leaf), root: checkpoint.root, proof });
  return { leaf, index, checkpoint };
}

/** Reads a proof file. @throws LogFault if it is malformed */
export function parseProofFile(text: string): ProofFile {
  const end = text.indexOf('\n\n');
  const [header, ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  if (header !== HEADER) throw new LogFault(`this is not a proof file: its first line is not ${HEADER}`);
  const extra = lines[0]?.startsWith('extra ')
    ? parseBase64(lines.shift()?.slice('extra '.length) ?? '')
    : null;
  if (extra === null)
    throw new LogFault('the proof file does not contain its leaf: it has no valid "extra" line');
  if (extra.length > MAX_ENTRY_BYTES) throw new LogFault('the leaf in the proof file is too long');
  const [, digits = ''] = /^index (.+)$/.exec(lines.shift() ?? '') ?? [];
  const index = parseDecimal(digits);
  if (index === null) throw new LogFault('the proof file has no valid "index" line');
  if (lines.length > MAX_HASHES) throw new LogFault('the proof in the file is too long');
  return { leaf: extra, index, proof: lines.map(parseHash), checkpoint: text.slice(end + 2) };
}

function parseHash(line: string, at: number): Buffer {
  const bytes = parseBase64(line);
  if (bytes?.length !== HASH_BYTES) throw new LogFault(`hash ${at + 1} of the proof is malformed`);
  return bytes;
}
