import type { Clock } from '../clock.ts';
import type { Checkpoints } from '../log/checkpoints.ts';
import { proveInclusion } from '../log/tree-reads.ts';
import { formatLatest } from '../snapshot/latest.ts';
import { signPointer } from '../snapshot/pointer.ts';
import { findSnapshotBody, hasSnapshotBody, type SnapshotRow } from '../store/snapshots.ts';
import type { Db } from '../store/statement.ts';
import { keysOfNote, type NoteSigner } from '../tree/note.ts';
import { formatProofFile } from '../tree/proof-file.ts';
import type { Delays } from './delays.ts';

/** What is published of the environments. */
export interface Published {
  /**
   * The newest pointer of an environment with its proof, or null if nothing is published yet. It is signed again at half of
   * its life. One that is behind expires: it says for no longer that it is the newest than if it had been signed when the
   * delay began, and it is null when that is over and there is no former one.
   *
   * @throws BrokerError `restored_copy`, `log_altered`
   */
  latest(environment: string): Promise<string | null>;
  /** A body, or null if there is none of that name, or it is not kept any more. */
  body(name: Pick<SnapshotRow, 'environment' | 'version' | 'digest'>): Promise<string | null>;
  /** Whether there is such a body. */
  has(name: Pick<SnapshotRow, 'environment' | 'version' | 'digest'>): Promise<boolean>;
}

/** A pointer that was signed. */
interface Signed {
  text: string;
  place: number;
  epoch: number;
  /** When it was the newest one for sure. */
  at_ms: number;
  /** The keys that signed it. */
  by: string;
}

/** Opens what is published. Each broker signs for itself what was recorded once. */
export function openPublished(deps: {
  read: Db;
  delays: Pick<Delays, 'look'>;
  checkpoints: Checkpoints;
  /** The keys of the log that sign now, the newest first. */
  signers: () => Promise<[NoteSigner, ...NoteSigner[]]>;
  clock: Clock;
  /** How long a pointer is valid. */
  lifeMs: number;
}): Published {
  const { read, delays, checkpoints, signers, clock, lifeMs } = deps;
  const signed = new Map<string, Signed>();
  const renewing = new Map<string, Promise<Signed>>();

  /** @param atMs when it was the newest one; its life begins then */
  async function sign(row: SnapshotRow, atMs: number): Promise<Signed> {
    const { place, digest, environment, epoch, previous, size, version } = row;
    const keys = await signers();
    const by = keys.map(({ verifier }) => verifier.vkey);
    const checkpoint = await checkpoints.covering(place, { atOnce: true, by });
    const { leaf, proof } = await proveInclusion(read, { place, size: checkpoint.size });
    const iat = Math.floor(clock() / 1000);
    const exp = Math.floor(atMs / 1000) + Math.floor(lifeMs / 1000);
    const { origin, note } = checkpoint;
    const claims = { digest, environment, epoch, exp, iat, origin, previous, size, version };
    const proofFile = formatProofFile({ leaf: Buffer.from(leaf), index: place - 1, proof, checkpoint: note });
    // Whoever knows one key only verifies pointer and checkpoint with it.
    const ids = new Set(keysOfNote(note).map(({ id }) => id));
    const signing = keys.filter(({ verifier }) => ids.has(verifier.id));
    // The log was handed over just now, and the former key signs no more.
    if (signing.length === 0) return sign(row, atMs);
    const pointers = signing.map((key) => signPointer(claims, key));
    return { text: formatLatest(pointers, proofFile), place, epoch, at_ms: atMs, by: namesOf(signing) };
  }

  /** Who asks for the same at once waits for one signature. */
  function renew(row: SnapshotRow, atMs: number): Promise<Signed> {
    const name = `${row.epoch}/${row.place}`;
    let running = renewing.get(name);
    if (running === undefined) {
      running = sign(row, atMs).finally(() => renewing.delete(name));
      renewing.set(name, running);
    }
    return running;
  }

  return {
    latest: async (environment) => {
      const { row, sinceMs } = await delays.look(environment);
      if (row === null) return null;
      const nowMs = clock();
      const atMs = sinceMs ?? nowMs;
      const kept = signed.get(environment);
      const isSame = kept !== undefined && kept.place === row.place && kept.epoch === row.epoch;
      const isYoung = isSame && Math.abs(nowMs - kept.at_ms) < lifeMs / 2;
      // A new signature would not be valid for longer.
      const isLast = isSame && sinceMs !== null && kept.at_ms >= atMs;
      if ((isYoung || isLast) && kept.by === namesOf(await signers())) return kept.text;
      // It would have expired when it is signed.
      if (nowMs - atMs >= lifeMs) return isSame ? kept.text : null;
      const renewed = await renew(row, atMs);
      signed.set(environment, renewed);
      return renewed.text;
    },
    has: (name) => hasSnapshotBody(read, name),
    body: async (name) => (await findSnapshotBody(read, name)) ?? null,
  };
}

function namesOf(keys: readonly NoteSigner[]): string {
  return keys.map(({ verifier }) => verifier.vkey).join(' ');
}
