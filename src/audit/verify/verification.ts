import type { Checkpoint } from '../../tree/checkpoint.ts';
import { LogFault, UnreadableFile } from '../../tree/fault.ts';
import { createKeyChain, type LogKeyAt } from '../../tree/key-chain.ts';
import type { NoteVerifier } from '../../tree/note.ts';
import { type ReadLogFile, verifyLog } from '../../tree/verify-log.ts';
import { readNote } from '../../tree/verify-signed-log.ts';
import {
  type CosignedState,
  QuorumMissing,
  type UnknownSigner,
  unknownSigners,
  verifyCosigned,
  type WitnessDemand,
} from './cosigned.ts';
import type { KeptDecisions } from './kept-decisions.ts';
import { createMeaning, type Meaning } from './meaning.ts';
import { readPlainLeaf } from './plain-leaf.ts';
import type { SnapshotComparison } from './snapshots.ts';

/** What a verification is given. */
export interface VerificationDeps {
  read: ReadLogFile;
  /** A key of the log, whichever: the later ones are found in its leaves. */
  pinned: NoteVerifier;
  /** An older signed checkpoint, which the log must continue. */
  older?: string | undefined;
  /** The witnesses that are believed. Without it, no cosignature is asked for. */
  witnesses?: WitnessDemand | undefined;
  /** The inputs and results of the decisions, if they are verified, too. */
  kept?: KeptDecisions | undefined;
  /** The published snapshots, if they are compared, too. */
  snapshots?: SnapshotComparison | undefined;
  /** Called after each bundle of records. */
  progress?: (done: number, of: number) => void;
}

/** A verification of a log that may grow. */
export interface Verification {
  /**
   * Verifies the log up to its latest checkpoint: what is new since the last call, in tree, signature and meaning.
   *
   * @throws LogFault for the first fault, also if the log stepped back or has another history
   */
  advance(): Promise<Checkpoint>;
  meaning: Meaning;
  /** What the witnesses agree on; null if none were given. */
  cosigned(): CosignedState | null;
  /** Who signed the latest checkpoint, too, with keys that nobody named. */
  unknown(): readonly UnknownSigner[];
  /** The keys of the log so far, the first one first. */
  keys(): readonly LogKeyAt[];
}

/** How often files that were replaced while they were read are read again. */
const MAX_ATTEMPTS = 3;
const CHECKPOINT = 'checkpoint';

/** Starts a verification at the beginning of a log. */
export function createVerification(given: VerificationDeps): Verification {
  const { read, pinned, kept, snapshots, progress } = given;
  const meaning = createMeaning();
  // Up to where everything is verified; and the newest checkpoint that was seen, which may be further.
  let verified: Checkpoint | undefined;
  const older = given.older === undefined ? undefined : readNote(given.older, pinned);
  let seen = older?.checkpoint;
  const chain = createKeyChain(pinned);
  let cosigned: CosignedState | null = null;
  let unknown: readonly UnknownSigner[] = [];

  async function take(leaves: readonly Buffer[], index: number, size: number): Promise<void> {
    // A partial bundle is read again when it has grown.
    for (const leaf of leaves.slice(Math.max(0, meaning.size() - index))) {
      const place = meaning.size() + 1;
      const plain = readPlainLeaf(leaf);
      // A plain leaf hands nothing over.
      if (plain === null) chain.add(leaf, place - 1);
      // Only what is read is waited for: waiting takes as long as the rest.
      const beside = kept === undefined ? null : await kept.at(place);
      const record = meaning.take(plain ?? leaf, beside);
      if (kept !== undefined) await kept.verify(place, record, meaning.findings);
      if (snapshots !== undefined && record !== null)
        await snapshots.verify(record, meaning.versions, meaning.findings);
    }
    progress?.(meaning.size(), size);
  }

  async function verifyTo(note: string): Promise<Checkpoint> {
    const { checkpoint, unsigned } = readNote(note, pinned);
    assertNoStepBack(checkpoint, verified ?? older?.checkpoint);
    try {
      await verifyLog({
        checkpoint,
        since: verified?.size === 0 ? undefined : verified,
        continues: seen,
        read,
        leaves: (leaves, index) => take(leaves, index, checkpoint.size),
      });
    } catch (error) {
      // It will be tried again, and what is served then must continue this one.
      if (!(error instanceof LogFault) && checkpoint.size > (seen?.size ?? 0)) seen = checkpoint;
      // Whose log this is comes before what is wrong with it.
      throw unsigned !== null && error instanceof LogFault && chain.keys().length === 1 ? unsigned : error;
    }
    if (chain.keys().length === 1) for (const fault of [unsigned, older?.unsigned]) if (fault) throw fault;
    chain.open(note);
    if (given.older !== undefined) chain.open(given.older);
    // From here on only what witnesses say can be wrong: another attempt begins where this one ends.
    verified = checkpoint;
    seen = checkpoint;
    unknown = unknownSigners(note, chain, given.witnesses?.known ?? []);
    if (given.witnesses !== undefined)
      cosigned = await verifyCosigned({ note, checkpoint, read, chain }, given.witnesses);
    return checkpoint;
  }

  return {
    meaning,
    cosigned: () => cosigned,
    unknown: () => unknown,
    keys: chain.keys,
    advance: async () => {
      for (let attempt = 1; ; attempt += 1) {
        const note = String(await read(CHECKPOINT));
        try {
          return await verifyTo(note);
        } catch (error) {
          // What witnesses cosigned of a log that grows is read after its checkpoint, and may be ahead of it.
          const wasReplaced =
            (error instanceof UnreadableFile || error instanceof QuorumMissing) &&
            attempt < MAX_ATTEMPTS &&
            String(await read(CHECKPOINT)) !== note;
          if (!wasReplaced) throw error;
        }
      }
    },
  };
}

/** @throws LogFault if a log that was verified further is now shorter */
function assertNoStepBack({ size }: Checkpoint, before: Checkpoint | undefined): void {
  if (before === undefined || size >= before.size) return;
  throw new LogFault(
    `the log was cut off: it stepped back to ${size} leaves, and the older checkpoint has ${before.size}`,
  );
}
