import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { replaceDurably } from '../durable-file.ts';
import { claimFile } from '../store/file-lock.ts';
import { syncFolder } from '../sync-folder.ts';
import { parseBase64 } from '../tree/base64.ts';
import { type Checkpoint, parseCheckpoint, parseUnverified } from '../tree/checkpoint.ts';
import { type CosignerKey, cosignerKey, originHash } from '../tree/cosignature.ts';
import { parseDecimal } from '../tree/decimal.ts';
import { LogFault } from '../tree/fault.ts';
import { EMPTY_ROOT, HASH_BYTES } from '../tree/hashes.ts';
import { type NoteVerifier, openNote } from '../tree/note.ts';
import { verifyConsistency } from '../tree/proofs.ts';

/*
 * A minimal witness of logs (C2SP tlog-witness): it cosigns a checkpoint only if that continues the last one that it has
 * cosigned of the same log, and what it has cosigned is on the disk before it answers.
 */

const KEY_FILE = 'witness.pem';
const LOCK_FILE = 'witness.state';
/** Says that a log was cosigned, apart from what was: a checkpoint that is lost is no log that is new. */
const MARK_END = '.cosigned';
const CHECKPOINT_FILE = 'checkpoint';
/** The longest proof: a way through the largest tree that can be counted. */
const MAX_HASHES = 63;

/** The answer to a submission. */
export interface WitnessAnswer {
  status: 200 | 400 | 403 | 404 | 409 | 422;
  body: string;
  /** Whether the body is the size of the log as the witness knows it. */
  isSize: boolean;
}

/** A witness. */
export interface Witness {
  /** The text form of its key. */
  vkey: string;
  /** Answers `POST /add-checkpoint`. @throws Error if its own state cannot be read or written */
  add(body: string): Promise<WitnessAnswer>;
  /** The logs that it knows, each with the size that it has cosigned last; null if it will believe the first checkpoint. */
  logs(): { origin: string; size: number | null }[];
  /** The last cosigned checkpoint of a log by the hash of its origin, or null. */
  latest(hashOfOrigin: string): Promise<string | null>;
  /** Gives up the folder. */
  close(): void;
}

/**
 * Opens a witness on a folder, which it creates with a key at its first start.
 *
 * @param options.name the name of its key, like an address without a scheme
 * @param options.logs the keys of the logs that it knows; a log may have several
 * @throws Error if another process has the folder, or if it has lost what it has cosigned of a log
 */
export async function openWitness(options: {
  folder: string;
  name: string;
  logs: readonly NoteVerifier[];
  clock: Clock;
}): Promise<Witness> {
  const { folder, logs, clock } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Two processes on one folder could cosign two histories.
  const claim = claimFile(join(folder, LOCK_FILE));
  const hashes = new Set(logs.map(({ name }) => originHash(name)));
  const fileOf = (hashOfOrigin: string) => join(folder, hashOfOrigin, CHECKPOINT_FILE);
  const markOf = (hashOfOrigin: string) => join(folder, `${hashOfOrigin}${MARK_END}`);
  /** The last cosigned checkpoint of each log by the hash of its origin: a file that is lost is no empty log. */
  const cosigned = new Map<string, string>();
  let key: CosignerKey;
  try {
    key = await openKey(folder, options.name);
    for (const each of hashes) {
      mkdirSync(join(folder, each), { recursive: true, mode: 0o700 });
      const note = await readIfPresent(fileOf(each));
      if (note !== null) {
        cosigned.set(each, note);
        await replaceDurably(markOf(each), '');
      } else if ((await readIfPresent(markOf(each))) !== null)
        throw new Error(
          `${fileOf(each)} is missing, although this witness has cosigned that log: beginning anew, it could cosign another history. Bring the file back. If that is impossible, remove the whole folder: the witness then has another key, which the configuration of the broker must name`,
        );
    }
    // A checkpoint is as durable as the folder that it is in.
    syncFolder(folder);
  } catch (error) {
    claim.release();
    throw error;
  }
  /** The last submission of each log: the next one waits for it. */
  const queues = new Map<string, Promise<unknown>>();

  /** @throws Error if the file is not as this process has read or written it */
  async function known(origin: string): Promise<Checkpoint> {
    const lost = claim.lost();
    if (lost !== null) throw new Error(lost);
    const file = fileOf(originHash(origin));
    const note = cosigned.get(originHash(origin)) ?? null;
    if ((await readIfPresent(file)) !== note)
      throw new Error(`${file} is not what was cosigned last: it was lost or changed. Bring it back`);
    return note === null ? { origin, size: 0, root: EMPTY_ROOT } : parseUnverified(note, origin);
  }

  async function decide({ old, proof, text, lines }: Submission): Promise<WitnessAnswer> {
    const next = parseCheckpoint(text);
    const last = await known(next.origin);
    if (old > next.size) return answer(400, 'the old size is larger than that of the checkpoint');
    if (old !== last.size) return { status: 409, body: `${last.size}\n`, isSize: true };
    try {
      if (old > 0) verifyConsistency({ from: last, to: next, proof });
      else if (proof.length > 0) throw new LogFault('the proof from an empty log must be empty');
    } catch (error) {
      if (error instanceof LogFault) return answer(422, error.message);
      throw error;
    }
    const line = key.cosign(text, Math.floor(clock() / 1000));
    const note = `${text}\n${lines.join('')}${line}`;
    await replaceDurably(fileOf(originHash(next.origin)), note);
    cosigned.set(originHash(next.origin), note);
    // After the checkpoint: a mark without one stops the next start.
    if (old === 0) await replaceDurably(markOf(originHash(next.origin)), '');
    return { status: 200, body: line, isSize: false };
  }

  return {
    vkey: key.cosigner.vkey,
    logs: () =>
      [...new Set(logs.map(({ name }) => name))].map((origin) => {
        const note = cosigned.get(originHash(origin));
        return { origin, size: note === undefined ? null : parseUnverified(note, origin).size };
      }),
    add: async (body) => {
      const submission = open(body, logs);
      if ('status' in submission) return submission;
      const { origin } = submission;
      const turn = (queues.get(origin) ?? Promise.resolve()).then(() => decide(submission));
      queues.set(
        origin,
        turn.catch(() => undefined),
      );
      return turn;
    },
    latest: async (hashOfOrigin) => cosigned.get(hashOfOrigin) ?? null,
    close: claim.release,
  };
}

interface Submission {
  origin: string;
  old: number;
  proof: Buffer[];
  text: string;
  /** The signatures of the known keys of the log. Nobody vouches for the others that were sent. */
  lines: string[];
}

/** Reads a submission, and verifies who signed the checkpoint. */
function open(body: string, logs: readonly NoteVerifier[]): Submission | WitnessAnswer {
  const end = body.indexOf('\n\n');
  const [first = '', ...lines] = body.slice(0, Math.max(end, 0)).split('\n');
  const old = first.startsWith('old ') ? parseDecimal(first.slice('old '.length)) : null;
  if (old === null) return answer(400, 'the first line must be "old <size>"');
  if (lines.length > MAX_HASHES) return answer(400, 'the proof is too long');
  const proof: Buffer[] = [];
  for (const line of lines) {
    const bytes = parseBase64(line);
    if (bytes?.length !== HASH_BYTES) return answer(400, 'a line of the proof is not a hash');
    proof.push(bytes);
  }
  const note = body.slice(end + 2);
  const origin = note.split('\n', 1)[0] ?? '';
  const verifiers = logs.filter(({ name }) => name === origin);
  if (verifiers.length === 0) return answer(404, 'this log is not known here');
  try {
    parseUnverified(note, origin);
  } catch (error) {
    return answer(400, (error as Error).message);
  }
  try {
    const { text, lines } = openNote(note, verifiers);
    return { origin, old, proof, text, lines };
  } catch (error) {
    return answer(403, (error as Error).message);
  }
}

function answer(status: WitnessAnswer['status'], body: string): WitnessAnswer {
  return { status, body: `${body}\n`, isSize: false };
}

async function openKey(folder: string, name: string): Promise<CosignerKey> {
  const file = join(folder, KEY_FILE);
  const present = await readIfPresent(file);
  if (present !== null) return cosignerKey(name, createPrivateKey(readFileSync(file)));
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = cosignerKey(name, privateKey);
  await replaceDurably(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return key;
}

async function readIfPresent(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
