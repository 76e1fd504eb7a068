import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readHead } from '../store/log-head.ts';
import { listLogKeys } from '../store/log-keys.ts';
import { findSignedLoss, type SignedCheckpointFile } from '../store/signed-checkpoint.ts';
import type { Db } from '../store/statement.ts';
import { parseUnverified } from '../tree/checkpoint.ts';
import { openNote, parseVerifier } from '../tree/note.ts';
import { readAnswer } from './read-answer.ts';

/*
 * The log as it is published elsewhere: a copy of the whole disk that is restored is as old as the files beside the database,
 * and only what is elsewhere shows it.
 */

const TIMEOUT_MS = 5000;
/** A checkpoint is some hundred bytes. */
const MAX_BYTES = 100_000;

/** The comparison with one place. */
export type PublishedState =
  | { state: 'continued' }
  /** The database lacks what is published. */
  | { state: 'lacking'; detail: string; signed: SignedCheckpointFile }
  /** It cannot be told: nothing is there yet, or nothing that this database can verify. */
  | { state: 'unknown'; detail: string };

/** Compares the database with the checkpoint at a place: a folder, or an address. */
export async function comparePublished(
  db: Db,
  place: string,
  fetchFrom: typeof fetch,
): Promise<PublishedState> {
  let signed: SignedCheckpointFile;
  try {
    signed = await openPublished(db, await readPublished(place, fetchFrom));
  } catch (error) {
    const detail = `the published log at ${place} is not compared: ${(error as Error).message}`;
    return { state: 'unknown', detail };
  }
  const found = await findSignedLoss(db, await readHead(db), signed);
  if (found === null) return { state: 'continued' };
  return { state: 'lacking', detail: `${found} It is published at ${place}.`, signed };
}

async function readPublished(place: string, fetchFrom: typeof fetch): Promise<string> {
  if (!/^https?:\/\//.test(place)) return readFile(join(place, 'checkpoint'), 'utf8');
  const response = await fetchFrom(`${place.replace(/\/+$/, '')}/checkpoint`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    redirect: 'error',
  });
  if (!response.ok) throw new Error(`it answers with status ${response.status}`);
  const text = await readAnswer(response, MAX_BYTES);
  if (text === null) throw new Error('its answer is too long');
  return text;
}

/** Verifies a checkpoint with the keys of the database: nobody else can stop the broker with one. */
async function openPublished(db: Db, note: string): Promise<SignedCheckpointFile> {
  const origin = note.split('\n', 1)[0] ?? '';
  const keys = (await listLogKeys(db)).flatMap(({ vkey, epoch, place }) => {
    const verifier = parseVerifier(vkey);
    return verifier.name === origin ? [{ verifier, epoch, from: place ?? 0 }] : [];
  });
  const { size, root } = parseUnverified(note, origin);
  // A key that was rotated out may be in the hands of others.
  const due = keys.filter(({ from }) => from <= size).toSorted((a, b) => b.from - a.from)[0];
  if (due === undefined)
    throw new Error(`its checkpoint is of ${origin}, and this database has no key of that log`);
  openNote(note, [due.verifier]);
  const { installation } = await readHead(db);
  return { installation, epoch: due.epoch, size, root: root.toString('base64'), note };
}
