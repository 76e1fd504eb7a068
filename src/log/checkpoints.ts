import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { readHead } from '../store/log-head.ts';
import type { Store } from '../store/store.ts';
import { type Checkpoint, signCheckpoint } from '../tree/checkpoint.ts';
import type { NoteSigner } from '../tree/note.ts';

/** How long a checkpoint is the latest one. There is at most one in this time, but for those that are asked for at once. */
export const CHECKPOINT_INTERVAL_MS = 1000;

/** A checkpoint with its signed text. */
export interface SignedCheckpoint extends Checkpoint {
  note: string;
}

/** The signed statements of the log about itself. */
export interface Checkpoints {
  /** The latest checkpoint. The log may have grown since, for at most a second. @throws BrokerError `restored_copy`, `log_altered` */
  latest(): Promise<SignedCheckpoint>;
  /**
   * The first checkpoint with at least so many leaves, which the log must have. It may take a second.
   *
   * @throws BrokerError `restored_copy`, `log_altered`
   * @param options.atOnce signs one now if there is none yet: for what others wait for, and the caller limits how often
   * @param options.by the public parts of the keys that must have signed it, if they still sign
   */
  covering(size: number, options?: { atOnce?: boolean; by?: readonly string[] }): Promise<SignedCheckpoint>;
  /** The public parts of the keys that sign, the newest first. */
  keys(): Promise<[string, ...string[]]>;
}

/**
 * Signs checkpoints, outside of every write. A checkpoint is made only of what reads see and nothing can undo: one for a state
 * that could be lost would contradict the log later.
 */
export function createCheckpoints(deps: {
  store: Store;
  /** The keys that sign now, the newest first. */
  signers: () => Promise<[NoteSigner, ...NoteSigner[]]>;
  clock: Clock;
  /** Called with the error if a checkpoint could not be kept beside the database. */
  onUnkept: (error: unknown) => void;
}): Checkpoints {
  const { store, signers, clock } = deps;
  let kept: (SignedCheckpoint & { at_ms: number; by: string }) | null = null;
  let running: Promise<SignedCheckpoint> | null = null;

  /** The log of another history must not be signed under the name of the acknowledged one, nor anything that it proves. */
  async function assertSignable(): Promise<void> {
    const refusal = await store.writeRefusal();
    if (refusal?.code === 'restored_copy' || refusal?.code === 'log_altered') throw refusal;
  }

  async function make(): Promise<SignedCheckpoint> {
    await assertSignable();
    // Before the keys: from the record on that commits a new key, that key must sign.
    const head = await readHead(store.read);
    const keys = await signers();
    const by = keys.map(({ verifier }) => verifier.vkey).join(' ');
    if (kept?.size !== head.size || kept.by !== by) {
      await store.settle(head);
      const { name: origin } = keys[0].verifier;
      const root = Buffer.from(head.root, 'base64');
      const note = signCheckpoint({ size: head.size, root }, ...keys);
      const { installation, epoch, size } = head;
      // Before anybody else has it. A disk that refuses takes nothing from what was signed: the next one is kept again.
      await store.keepSigned({ installation, epoch, size, root: head.root, note }).catch(deps.onUnkept);
      kept = { origin, size: head.size, root, note, at_ms: clock(), by };
    }
    kept.at_ms = clock();
    return kept;
  }

  function renew(): Promise<SignedCheckpoint> {
    running ??= make().finally(() => {
      running = null;
    });
    return running;
  }

  const isFresh = () => kept !== null && Math.abs(clock() - kept.at_ms) < CHECKPOINT_INTERVAL_MS;

  return {
    latest: async () => (kept !== null && isFresh() ? kept : renew()),
    covering: async (size, { atOnce = false, by } = {}) => {
      const isSigned = by === undefined || kept?.by === by.join(' ');
      if (kept !== null && kept.size >= size && isSigned) {
        // What it proves is signed or handed out now, however old it is.
        await assertSignable();
        return kept;
      }
      if (!atOnce && isFresh()) await setTimeout(CHECKPOINT_INTERVAL_MS);
      const renewed = await renew();
      // One that was running may have begun before the record was there.
      return renewed.size >= size ? renewed : renew();
    },
    keys: async () => {
      const [newest, ...others] = await signers();
      return [newest.verifier.vkey, ...others.map(({ verifier }) => verifier.vkey)];
    },
  };
}
