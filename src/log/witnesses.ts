import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import {
  bestCosigned,
  type CosignatureRow,
  keepCosignature,
  listCosignatures,
} from '../store/cosignatures.ts';
import { readHead } from '../store/log-head.ts';
import type { Store } from '../store/store.ts';
import { type Cosignature, type Cosigner, openCosignatures, parseCosigner } from '../tree/cosignature.ts';
import { parseDecimal } from '../tree/decimal.ts';
import { LogFault } from '../tree/fault.ts';
import { textOfNote } from '../tree/note.ts';
import type { Checkpoints, SignedCheckpoint } from './checkpoints.ts';
import { readAnswer } from './read-answer.ts';
import { proveConsistency } from './tree-reads.ts';

/*
 * Witnesses cosign what the broker has signed, so that it cannot show different histories to different people. They are asked
 * outside of every write: one that does not answer costs nothing but the age of its cosignature.
 */

const TIMEOUT_MS = 10_000;
/** How often a witness may correct what is known of its state, in one submission. */
const ATTEMPTS = 3;
/** An answer is a line for each key of the witness. */
const MAX_ANSWER_BYTES = 20_000;
/** How much of a refusal the broker's own log repeats. */
const MAX_DETAIL = 200;

/** A witness that the configuration names. */
interface KnownWitness {
  /** The address before `/add-checkpoint`. */
  url: string;
  cosigner: Cosigner;
}

/** Why a witness has not cosigned. Everybody reads these words, so nothing that a witness or an error says is among them. */
export const WITNESS_FAULTS = {
  unreachable: 'it does not answer',
  refused: 'it answers with another status',
  invalid_answer: 'its answer is too long, or names no size that it stays with',
  invalid_cosignature: 'its answer has no valid cosignature of its key',
  other_history: 'it has cosigned what this log does not continue',
  failed: 'the broker could not make the submission',
} as const;
export type WitnessFault = keyof typeof WITNESS_FAULTS;

/** What is known of a witness. */
export interface WitnessView {
  name: string;
  /** The size that it has cosigned last, and when; null if it has not. */
  size: number | null;
  at_ms: number | null;
  /** Why it has not cosigned what it was sent last; null if it has. */
  fault: WitnessFault | null;
  /** The status of the answer with that fault; null if there was none. */
  fault_status: number | null;
}

/** The witnesses of the log. */
export interface Witnesses {
  /** Whether the configuration names none. */
  readonly isEmpty: boolean;
  /** Sends the latest checkpoint to all of them. Never rejects. */
  submit(): Promise<void>;
  /** The cosignature lines of a checkpoint. */
  linesFor(checkpoint: SignedCheckpoint): Promise<string>;
  /** The largest checkpoint that a quorum has cosigned, with the cosignatures; null if there is none. */
  cosigned(): Promise<{ note: string; size: number; at_ms: number } | null>;
  /** The number of witnesses that must agree. */
  quorum: number;
  views(): Promise<WitnessView[]>;
}

/** The answer of one witness to one submission. */
type Submitted = { row: CosignatureRow } | { known: number } | 'overtaken' | Refusal;

/** Why a submission has led to no cosignature. */
interface Refusal {
  fault: WitnessFault;
  status: number | null;
  /** What the witness or the error says: only for the broker's own log. */
  detail: string;
}

/**
 * Opens the witnesses of the configuration.
 *
 * @param deps.quorum default: more than half of them
 */
export function openWitnesses(deps: {
  store: Store;
  checkpoints: Checkpoints;
  witnesses: readonly { url: string; key: string }[];
  quorum: number | undefined;
  clock: Clock;
  fetch: typeof fetch;
  log: Logger;
}): Witnesses {
  const { store, checkpoints, clock, log } = deps;
  const witnesses = deps.witnesses.map(({ url, key }) => ({ url, cosigner: parseCosigner(key) }));
  const quorum = deps.quorum ?? Math.floor(witnesses.length / 2) + 1;
  /** By the key of the witness. */
  const faults = new Map<string, Refusal>();

  async function ask(url: string, body: string): Promise<{ status: number; text: string | null } | Refusal> {
    try {
      const response = await deps.fetch(`${url.replace(/\/+$/, '')}/add-checkpoint`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        body,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { status: response.status, text: await readAnswer(response, MAX_ANSWER_BYTES) };
    } catch (error) {
      return { fault: 'unreachable', status: null, detail: (error as Error).message };
    }
  }

  async function send(
    { url, cosigner }: KnownWitness,
    { old, checkpoint }: { old: number; checkpoint: SignedCheckpoint },
  ): Promise<Submitted> {
    const { size, note, origin, root } = checkpoint;
    const proof =
      old === 0 || old === size ? [] : (await proveConsistency(store.read, { from: old, to: size })).proof;
    const lines = [`old ${old}`, ...proof.map((hash) => hash.toString('base64'))];
    const answer = await ask(url, `${lines.join('\n')}\n\n${note}`);
    if ('fault' in answer) return answer;
    const { status, text } = answer;
    if (status === 409) {
      const known = text === null ? null : parseDecimal(text.trim());
      if (known === null) return { fault: 'invalid_answer', status, detail: 'it names no size' };
      if (known <= size) return { known };
      // Another broker on this log was faster. Whether it is this log is proved by the next submission, from that size on.
      if (known <= (await readHead(store.read)).size) return 'overtaken';
      const detail = `it has cosigned ${known} records of this log, which has ${size}`;
      return { fault: 'other_history', status, detail };
    }
    if (status !== 200) {
      const detail = (text ?? '').trim().slice(0, MAX_DETAIL);
      return { fault: status === 422 ? 'other_history' : 'refused', status, detail };
    }
    if (text === null) return { fault: 'invalid_answer', status, detail: 'its answer is too long' };
    let cosignature: Cosignature | undefined;
    try {
      [cosignature] = openCosignatures(textOfNote(note), text, [cosigner]);
    } catch (error) {
      if (!(error instanceof LogFault)) throw error;
      return { fault: 'invalid_cosignature', status, detail: error.message };
    }
    if (cosignature === undefined)
      return { fault: 'invalid_cosignature', status, detail: 'its answer has no cosignature of its key' };
    // A clock that is ahead makes nothing fresher.
    const at_ms = Math.min(cosignature.time_s * 1000, clock());
    const { line } = cosignature;
    const row = { witness: cosigner.vkey, origin, size, root: root.toString('base64'), note, line, at_ms };
    return { row };
  }

  async function submitTo(witness: KnownWitness, checkpoint: SignedCheckpoint): Promise<void> {
    const { vkey, name } = witness.cosigner;
    const rows = await listCosignatures(store.read, checkpoint.origin);
    let old = Math.max(0, ...rows.filter((row) => row.witness === vkey).map(({ size }) => size));
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const sent: Submitted = await send(witness, { old, checkpoint }).catch((error: unknown) => ({
        fault: 'failed',
        status: null,
        detail: (error as Error).message,
      }));
      if (sent === 'overtaken') return;
      if ('known' in sent) {
        old = sent.known;
        continue;
      }
      if ('row' in sent) {
        await store.writer.write((tx) => keepCosignature(tx, sent.row, quorum));
        if (faults.delete(vkey)) log.info({ witness: name }, 'the witness cosigns again');
        return;
      }
      blame(witness.cosigner, sent);
      return;
    }
    const detail = 'it does not stay with the size that it names';
    blame(witness.cosigner, { fault: 'invalid_answer', status: 409, detail });
  }

  function blame({ vkey, name }: Cosigner, refusal: Refusal): void {
    const before = faults.get(vkey);
    faults.set(vkey, refusal);
    // Once for each kind: a witness must not fill the log.
    if (before?.fault !== refusal.fault || before.status !== refusal.status)
      log.warn({ witness: name, ...refusal }, 'no cosignature');
  }

  async function cosigned(): Promise<{ note: string; size: number; at_ms: number } | null> {
    const { origin } = await checkpoints.latest();
    const rows = ofConfigured(await listCosignatures(store.read, origin));
    const best = bestCosigned(rows, quorum);
    if (best === null) return null;
    const [first] = best.rows;
    const lines = best.rows.map(({ line }) => line).join('');
    return { note: `${first?.note ?? ''}${lines}`, size: best.size, at_ms: best.at_ms };
  }

  /** Without those of witnesses that are not configured any more. */
  function ofConfigured(rows: readonly CosignatureRow[]): CosignatureRow[] {
    return rows.filter(({ witness }) => witnesses.some(({ cosigner }) => cosigner.vkey === witness));
  }

  return {
    isEmpty: witnesses.length === 0,
    submit: async () => {
      if (witnesses.length === 0) return;
      try {
        const checkpoint = await checkpoints.latest();
        await Promise.all(witnesses.map((witness) => submitTo(witness, checkpoint)));
      } catch (error) {
        log.warn({ err: error }, 'the checkpoint could not be sent to the witnesses');
      }
    },
    linesFor: async ({ origin, size, root }) => {
      if (witnesses.length === 0) return '';
      const hash = root.toString('base64');
      return ofConfigured(await listCosignatures(store.read, origin))
        .filter((row) => row.size === size && row.root === hash)
        .map(({ line }) => line)
        .join('');
    },
    cosigned,
    quorum,
    views: async () => {
      if (witnesses.length === 0) return [];
      const { origin } = await checkpoints.latest();
      const rows = await listCosignatures(store.read, origin);
      return witnesses.map(({ cosigner: { name, vkey } }) => {
        const last = rows.filter(({ witness }) => witness === vkey).toSorted((a, b) => b.size - a.size)[0];
        const { size = null, at_ms = null } = last ?? {};
        const { fault = null, status: fault_status = null } = faults.get(vkey) ?? {};
        return { name, size, at_ms, fault, fault_status };
      });
    },
  };
}
