import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { wordsOf } from '../erasure/words.ts';
import {
  archiveName,
  assertFolder,
  headOf,
  removeArchive,
  seal,
  writeArchive,
} from '../store/archive-file.ts';
import {
  type Archivable,
  findLastTakenOut,
  insertArchive,
  listArchivable,
  listReadableIn,
  takeOutInputs,
} from '../store/archives.ts';
import { readHead } from '../store/log-head.ts';
import type { ArchivedInputsTable } from '../store/schema-log.ts';
import type { Tx } from '../store/statement.ts';
import { announce, isLastAnnounced, listAnnounced, takeOff } from './announced.ts';
import { type RetentionDeps, recordRetention } from './record.ts';

/*
 * Moves the inputs of old decisions to files. A file is announced in the database, written and made durable; then one write
 * records it, keeps the key of each input, and takes the inputs out. A file that was announced and never recorded is what a
 * crash has left, or of a mover that is slower: nothing has its keys, and the next move removes it.
 */

/** The inputs of one file at most, and about the characters in it. The writer is held for the rows of one file. */
const INPUTS_PER_FILE = 2000;
const CHARACTERS_PER_FILE = 16_000_000;
/** The records that are read at once. */
const RECORDS_AT_ONCE = 100;
/** How long the thread is kept while inputs are sealed. A long one takes longer by itself. */
const LONGEST_TURN_MS = 2;

/** The moments of a move between which a crash is told apart. */
export type MoveStep = 'announced' | 'written' | 'moved';

/** What a move needs. */
export interface MoveOptions {
  /** Inputs of records before this time are moved, in epoch milliseconds. */
  before_ms: number;
  /** The folder of the archives. */
  folder: string;
  /** Called at each step. Tests end the process there. */
  onStep?: (step: MoveStep) => void;
}

/** A file of inputs that were moved. */
export interface MovedInputs {
  file: string;
  digest: string;
  from_place: number;
  to_place: number;
  count: number;
  /** The size of the file. */
  bytes: number;
}

/** What a file will hold. */
interface Draft {
  from_place: number;
  to_place: number;
  content: Buffer;
  inputs: Omit<ArchivedInputsTable, 'archived_by'>[];
}

/**
 * Moves the next inputs that are old enough to one file. Records are moved in their order, up to the first one that is too new
 * or belongs to an open request.
 *
 * @returns null if there are none
 * @throws Error if the file cannot be written; then everything is as before
 */
export async function moveInputs(
  deps: RetentionDeps,
  { before_ms, folder, onStep = () => undefined }: MoveOptions,
): Promise<MovedInputs | null> {
  const { writer, read } = deps.store;
  const after = await findLastTakenOut(read, 'inputs');
  const { installation } = await readHead(read);
  const draft = await collect(deps, { after, before_ms, installation });
  if (draft === null && (await listAnnounced(read)).length === 0) return null;
  // Else each attempt would leave a name on the list.
  await assertFolder(folder);
  // Without inputs it is the name of a file that nobody writes.
  const { from_place, to_place } = draft ?? { from_place: 0, to_place: 0 };
  const name = archiveName({ installation, from_place, to_place }, deps.newId(deps.clock()));

  // From here on, whoever announced a file before cannot record it any more. One that was recorded is not among these.
  const left = await writer.write((tx) => announce(tx, name), 'scheduled');
  onStep('announced');
  for (const file of left) await removeArchive(join(folder, file));
  const gone = draft === null ? [...left, name] : left;
  if (gone.length > 0) await writer.write((tx) => takeOff(tx, gone), 'scheduled');
  if (draft === null) return null;
  const digest = await writeArchive(join(folder, name), draft.content);
  onStep('written');
  const count = await writer.write((tx) => record(tx, deps, { draft, name, digest }), 'scheduled');
  onStep('moved');
  if (count === null) {
    // Nobody else can record it. Whoever announced one since may have looked for it before it was there.
    await removeArchive(join(folder, name));
    await writer.write((tx) => takeOff(tx, [name]), 'scheduled');
    return null;
  }
  return { file: name, digest, from_place, to_place, count, bytes: draft.content.length };
}

async function collect(
  { store: { read } }: RetentionDeps,
  { after, before_ms, installation }: { after: number; before_ms: number; installation: string },
): Promise<Draft | null> {
  const taken: Archivable[] = [];
  let characters = 0;
  let last = after;
  const isFull = () => taken.length >= INPUTS_PER_FILE || characters >= CHARACTERS_PER_FILE;
  const isDue = ({ at_ms, isOpen }: Archivable) => at_ms < before_ms && !isOpen && !isFull();
  for (;;) {
    const rows = await listArchivable(read, last, RECORDS_AT_ONCE);
    for (const row of rows) {
      if (!isDue(row)) return sealAll(taken, { after, installation });
      taken.push(row);
      characters += row.input.length;
      last = row.place;
    }
    if (rows.length < RECORDS_AT_ONCE) return sealAll(taken, { after, installation });
    await setImmediate();
  }
}

async function sealAll(
  taken: readonly Archivable[],
  { after, installation }: { after: number; installation: string },
): Promise<Draft | null> {
  const last = taken.at(-1);
  if (last === undefined) return null;
  const [from_place, to_place] = [after + 1, last.place];
  const parts: Uint8Array[] = [Buffer.from(headOf({ installation, from_place, to_place }))];
  const inputs: Draft['inputs'] = [];
  let offset = parts[0]?.length ?? 0;
  let turnMs = performance.now();
  for (const { place, leaf, input } of taken) {
    if (performance.now() - turnMs > LONGEST_TURN_MS) {
      await setImmediate();
      turnMs = performance.now();
    }
    const { sealed, key } = seal(input, { place, leaf });
    inputs.push({ place, file_offset: offset, file_length: sealed.length, key, words: wordsOf(input) });
    parts.push(sealed);
    offset += sealed.length;
  }
  return { from_place, to_place, content: Buffer.concat(parts), inputs };
}

/** @returns how many inputs were taken out; null if another mover was faster */
async function record(
  tx: Tx,
  deps: RetentionDeps,
  { draft, name, digest }: { draft: Draft; name: string; digest: string },
): Promise<number | null> {
  const { from_place, to_place } = draft;
  if (!(await isLastAnnounced(tx, name))) return null;
  if ((await findLastTakenOut(tx, 'inputs')) !== from_place - 1) return null;
  // Some may have been erased since they were sealed: nothing has their keys.
  const readable = new Set(await listReadableIn(tx, { from: from_place, to: to_place }));
  const inputs = draft.inputs.filter(({ place }) => readable.has(place));
  if (inputs.length === 0 || inputs.length < readable.size) return null;
  const said = { what: 'inputs', from_place, to_place, count: inputs.length, digest } as const;
  const place = await recordRetention(tx, deps, said);
  const archive = { place, ...said, file: name };
  await insertArchive(tx, archive);
  await takeOutInputs(tx, archive, inputs);
  await takeOff(tx, [name]);
  return inputs.length;
}
