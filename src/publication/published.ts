import type { Clock } from '../clock.ts';
import type { Checkpoints } from '../log/checkpoints.ts';
import { proveInclusion } from '../log/tree-reads.ts';
import { formatLatest } from '../snapshot/latest.ts';
import { signPointer } from '../snapshot/pointer.ts';
import { readHead } from '../store/log-head.ts';
import { findLatestSnapshot, findSnapshotBody, type SnapshotRow } from '../store/snapshots.ts';
import type { Db } from '../store/statement.ts';
import { keysOfNote, type NoteSigner } from '../tree/note.ts';
import { formatProofFile } from '../tree/proof-file.ts';

/** What is published of the environments. */
export interface Published {
  /**
   * The newest pointer of an environment with its proof, or null if nothing is published yet. It is signed again at half of
   * its life.
   *
   * @throws BrokerError `restored_copy`, `log_altered`
   */
  latest(environment: string): Promise<string | null>;
  /** A body, or null if there is none of that name, or it is not kept any more. */
  body(name: Pick<SnapshotRow, 'environment' | 'version' | 'digest'>): Promise<string | null>;
}

/** A pointer that was signed. */
interface Signed {
  text: string;
  place: number;
  epoch: number;
  at_ms: number;
  /** The keys that signed it. */
  by: string;
}

/** Opens what is published. Each broker signs for itself what was recorded once. */
export function openPublished(deps: {
  read: Db;
  checkpoints: Checkpoints;
  /** The keys of the log that sign now, the newest first. */
  signers: () => Promise<[NoteSigner, ...NoteSigner[]]>;
  clock: Clock;
  /** How long a pointer is valid. */
  lifeMs: number;
}): Published {
  const { read, checkpoints, signers, clock, lifeMs } = deps;
  const signed = new Map<string, Signed>();
  const renewing = new Map<string, Promise<Signed>>();

  async function sign(row: SnapshotRow): Promise<Signed> {
    const { place, digest, environment, epoch, previous, size, version } = row;
    const keys = await signers();
    const by = keys.map(({ verifier }) => verifier.vkey);
    const checkpoint = await checkpoints.covering(place, { atOnce: true, by });
    const { leaf, proof } = await proveInclusion(read, { place, size: checkpoint.size });
    const atMs = clock();
    const iat = Math.floor(atMs / 1000);
    const exp = iat + Math.floor(lifeMs / 1000);
    const { origin, note } = checkpoint;
    const claims = { digest, environment, epoch, exp, iat, origin, previous, size, version };
    const proofFile = formatProofFile({ leaf: Buffer.from(leaf), index: place - 1, proof, checkpoint: note });
    // Whoever knows one key only verifies pointer and checkpoint with it.
    const ids = new Set(keysOfNote(note).map(({ id }) => id));
    const signing = keys.filter(({ verifier }) => ids.has(verifier.id));
    // The log was handed over just now, and the former key signs no more.
    if (signing.length === 0) return sign(row);
    const pointers = signing.map((key) => signPointer(claims, key));
    return { text: formatLatest(pointers, proofFile), place, epoch, at_ms: atMs, by: namesOf(signing) };
  }

  /** Who asks for the same at once waits for one signature. */
  function renew(row: SnapshotRow): Promise<Signed> {
    const name = `${row.epoch}/${row.place}`;
    let running = renewing.get(name);
    if (running === undefined) {
      running = sign(row).finally(() => renewing.delete(name));
      renewing.set(name, running);
    }
    return running;
  }

  return {
    latest: async (environment) => {
      const row = await findLatestSnapshot(read, environment);
      // After a confirmed restore, the record of the former log proves nothing.
      if (row === undefined || row.epoch !== (await readHead(read)).epoch) return null;
      const kept = signed.get(environment);
      const isCurrent =
        kept !== undefined &&
        kept.place === row.place &&
        kept.epoch === row.epoch &&
        Math.abs(clock() - kept.at_ms) < lifeMs / 2 &&
        kept.by === namesOf(await signers());
      if (isCurrent) return kept.text;
      const renewed = await renew(row);
      signed.set(environment, renewed);
      return renewed.text;
    },
    body: async (name) => (await findSnapshotBody(read, name)) ?? null,
  };
}

function namesOf(keys: readonly NoteSigner[]): string {
  return keys.map(({ verifier }) => verifier.vkey).join(' ');
}
