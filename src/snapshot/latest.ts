import { z } from 'zod';
import { openCheckpoint } from '../tree/checkpoint.ts';
import { LogFault } from '../tree/fault.ts';
import { leafHash } from '../tree/hashes.ts';
import type { NoteVerifier } from '../tree/note.ts';
import { type ProofFile, parseProofFile } from '../tree/proof-file.ts';
import { verifyInclusion } from '../tree/proofs.ts';
import { SnapshotFault } from './fault.ts';
import { openPointer, type PointerClaims } from './pointer.ts';
import { assertInTime, assertOfLog, parseFile } from './signed.ts';

/*
 * What is published of an environment: immutable bodies, and one small file that is replaced. It has the pointer with its proof,
 * so that neither is ever there without the other.
 */

/** The name of that file, below that of its environment. */
export const LATEST_FILE = 'latest.json';

/** The operation of the record that publishes a snapshot. */
export const PUBLISHES = 'snapshot.publish';

/** A leaf has 64 KiB at most, and a checkpoint some cosignatures. */
export const MAX_LATEST_BYTES = 512 * 1024;

/** What the file is called in a sentence. */
const WHAT = 'pointer to a snapshot';

const MAX_SIGNERS = 8;

const latestSchema = z.strictObject({
  pointers: z.array(z.string()).min(1).max(MAX_SIGNERS),
  proof: z.string(),
});

const leafSchema = z.object({
  operation: z.string(),
  snapshot: z.object({
    digest: z.string(),
    environment: z.string(),
    size: z.int().min(0),
    version: z.int().min(0),
  }),
});

/** What a reader has verified last of an environment, and must not fall behind. */
export interface SeenSnapshot {
  epoch: number;
  version: number;
  /** Absent: only the version is known. */
  digest?: string | undefined;
}

/** What is expected of a pointer. */
export interface Expected {
  /** The keys of the log that are known. */
  keys: readonly NoteVerifier[];
  environment: string;
  after?: SeenSnapshot | undefined;
  /** The time, in epoch milliseconds. Null: when it expires makes no difference, as for one that is kept as evidence. */
  nowMs: number | null;
}

/** A pointer that is proved. */
export interface ProvedPointer extends PointerClaims {
  /** The place of its record in the log. */
  place: number;
  /** The size of the log that it is proved for. */
  proved_size: number;
}

/** The text of the file. @param pointers one for each key that signs */
export function formatLatest(pointers: readonly string[], proof: string): string {
  return JSON.stringify({ pointers, proof });
}

/**
 * Verifies a pointer with its proof, and reads it. The body that it names is verified by `openBody`.
 *
 * @throws SnapshotFault for the first thing that is wrong
 */
export async function openLatest(bytes: Buffer, expected: Expected): Promise<ProvedPointer> {
  const { pointers, proof } = readLatest(bytes);
  const { claims, key } = await openPointer(pointers, expected.keys);
  assertFits(claims, key, expected);
  return { ...claims, ...prove(proof, claims, key) };
}

function readLatest(bytes: Buffer): z.infer<typeof latestSchema> {
  return parseFile(bytes, { what: WHAT, maxBytes: MAX_LATEST_BYTES, schema: latestSchema });
}

function assertFits(claims: PointerClaims, key: NoteVerifier, { environment, after, nowMs }: Expected): void {
  assertOfLog('pointer', claims, { key, environment });
  assertNotBehind(claims, after);
  if (nowMs !== null) assertInTime('pointer', claims, nowMs);
}

/** @throws SnapshotFault `stepped_back`, `forked` */
function assertNotBehind({ epoch, version, digest }: PointerClaims, after: SeenSnapshot | undefined): void {
  if (after === undefined || epoch > after.epoch) return;
  if (epoch < after.epoch || version < after.version)
    throw new SnapshotFault(
      'stepped_back',
      `the pointer is of version ${version} in epoch ${epoch}, and version ${after.version} in epoch ${after.epoch} was there before`,
    );
  if (version === after.version && after.digest !== undefined && after.digest !== digest)
    throw new SnapshotFault('forked', `version ${version} was ${after.digest} before, and is ${digest} now`);
}

/** @throws SnapshotFault `unproven`, `proof_other` */
function prove(
  proof: string,
  claims: PointerClaims,
  key: NoteVerifier,
): Pick<ProvedPointer, 'place' | 'proved_size'> {
  const { leaf, index, size } = verifyProof(proof, key);
  const said = leafSchema.safeParse(leaf);
  const { digest, environment, size: reflects, version } = claims;
  const isSame =
    said.success &&
    said.data.operation === PUBLISHES &&
    said.data.snapshot.digest === digest &&
    said.data.snapshot.environment === environment &&
    said.data.snapshot.size === reflects &&
    said.data.snapshot.version === version;
  if (!isSame)
    throw new SnapshotFault(
      'proof_other',
      `the record at place ${index + 1} of the log does not publish version ${version} of ${environment} as ${digest}`,
    );
  return { place: index + 1, proved_size: size };
}

function verifyProof(text: string, key: NoteVerifier): { leaf: unknown; index: number; size: number } {
  try {
    const { leaf, index, proof, checkpoint: note }: ProofFile = parseProofFile(text);
    const { size, root } = openCheckpoint(note, key);
    verifyInclusion({ index, size, leaf: leafHash(leaf), root, proof });
    return { leaf: JSON.parse(leaf.toString('utf8')), index, size };
  } catch (error) {
    if (!(error instanceof LogFault || error instanceof SyntaxError)) throw error;
    throw new SnapshotFault('unproven', `the proof is not valid: ${error.message}`, error);
  }
}
