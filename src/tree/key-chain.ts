import { z } from 'zod';
import { parseBase64 } from './base64.ts';
import { type Checkpoint, parseCheckpoint, parseUnverified } from './checkpoint.ts';
import { LogFault } from './fault.ts';
import { type NoteSigner, type NoteVerifier, openNote, parseVerifier } from './note.ts';

/*
 * The keys of a log over time. A leaf commits each new key, and the former key signs that it does: whoever has any key of the
 * log finds the later ones in the leaves, and nobody without the former key can put in one.
 */

/** What a leaf says of a new key: `log_key` of its record. */
export interface KeyHandover {
  /** The former key, in its text form. */
  former: string;
  /** The key that signs from this leaf on. */
  key: string;
  /** The signature of the former key over {@link statementOf}, base64. */
  signature: string;
}

const handoverSchema = z.object({ former: z.string(), key: z.string(), signature: z.string() });

/**
 * What the former key signs. No checkpoint has this text: the name of a log ends in its epoch.
 *
 * @param key the new key
 */
function statementOf({ name, vkey }: NoteVerifier): string {
  return `countersign/log-key/v1\n${name}\n${vkey}\n`;
}

/** Hands a log over to a new key of the same name. */
export function handOver(former: NoteSigner, key: NoteVerifier): KeyHandover {
  if (former.verifier.name !== key.name) throw new Error('the new key is of another log');
  return {
    former: former.verifier.vkey,
    key: key.vkey,
    signature: former.sign(statementOf(key)).toString('base64'),
  };
}

/** A key of a log. */
export interface LogKeyAt {
  verifier: NoteVerifier;
  /** The size from which on it must sign every checkpoint; 0 for the first key. */
  from: number;
}

/** The keys of one log, out of its leaves. */
export interface KeyChain {
  /**
   * Takes in the next leaf, in their order.
   *
   * @throws LogFault if it hands the log over to a key in a way that the former key has not signed
   */
  add(leaf: Buffer, index: number): void;
  /** Every key so far, the first one first; the pinned key alone if none was handed over. */
  keys(): readonly LogKeyAt[];
  /**
   * Verifies a checkpoint of the log whose leaves were added, and reads it.
   *
   * @throws LogFault if it is not signed by the key of its size, or the pinned key is none of the log
   */
  open(note: string): Checkpoint;
}

/** The member of a leaf, as it stands in the canonical JSON of a record. */
const MEMBER = Buffer.from('"log_key":{');

/** Begins the chain of a log's keys. @param pinned the key that is believed: any of the log */
export function createKeyChain(pinned: NoteVerifier): KeyChain {
  const keys: LogKeyAt[] = [];

  function take({ former, key, signature }: KeyHandover, place: number): void {
    const next = parseVerifier(key);
    // The tree goes on after a confirmed restore, under another name.
    if (next.name !== pinned.name) return;
    const last = keys.at(-1)?.verifier ?? parseVerifier(former);
    const bytes = parseBase64(signature);
    if (last.vkey !== former || last.name !== next.name)
      throw new LogFault(`it takes the log from key ${parseVerifier(former).id}, which was not its key`);
    if (bytes === null || !last.verify(statementOf(next), bytes))
      throw new LogFault(`the former key ${last.id} has not signed that the log goes over to ${next.id}`);
    if (keys.length === 0) keys.push({ verifier: last, from: 0 });
    keys.push({ verifier: next, from: place });
  }

  const known = (): readonly LogKeyAt[] => (keys.length === 0 ? [{ verifier: pinned, from: 0 }] : keys);

  return {
    add: (leaf, index) => {
      if (!leaf.includes(MEMBER)) return;
      try {
        const handover = handoverOf(leaf);
        if (handover !== null) take(handover, index + 1);
      } catch (error) {
        if (!(error instanceof LogFault)) throw error;
        throw new LogFault(`the record at place ${index + 1} hands over the log wrongly: ${error.message}`);
      }
    },
    keys: known,
    open: (note) => {
      if (!known().some(({ verifier }) => verifier.vkey === pinned.vkey))
        throw new LogFault(
          `${nameOf(pinned)} is none of the keys of this log: ${known().map(describe).join(', ')}`,
        );
      const { size } = parseUnverified(note, pinned.name);
      const { text, signedBy } = openNote(
        note,
        known().map(({ verifier }) => verifier),
      );
      const due = keyAt(known(), size);
      if (!signedBy.includes(due.verifier))
        throw new LogFault(
          `the checkpoint with ${size} leaves is signed by ${signedBy.map(nameOf).join(', ')}, which was rotated out at place ${due.from}; since then the key is ${due.verifier.id}`,
        );
      return parseCheckpoint(text);
    },
  };
}

/** The key that must sign a checkpoint of that size. */
function keyAt(keys: readonly LogKeyAt[], size: number): LogKeyAt {
  const due = keys.findLast(({ from }) => from <= size);
  if (due === undefined) throw new Error('a log has a first key');
  return due;
}

function handoverOf(leaf: Buffer): KeyHandover | null {
  let record: { log_key?: unknown };
  try {
    record = JSON.parse(leaf.toString()) as { log_key?: unknown };
  } catch {
    return null;
  }
  if (record.log_key === undefined) return null;
  const { success, data } = handoverSchema.safeParse(record.log_key);
  if (!success) throw new LogFault('its member log_key is malformed');
  return data;
}

function nameOf({ id }: NoteVerifier): string {
  return `key ${id}`;
}

function describe({ verifier, from }: LogKeyAt): string {
  return from === 0 ? nameOf(verifier) : `${nameOf(verifier)} since place ${from}`;
}
