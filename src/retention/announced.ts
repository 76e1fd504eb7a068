import { isArchiveName } from '../store/archive-file.ts';
import { findRecordedFile } from '../store/archives.ts';
import { findMeta, removeMeta, setMeta } from '../store/installation.ts';
import { readHead } from '../store/log-head.ts';
import type { Db, Tx } from '../store/statement.ts';

/*
 * The files that were announced, in the order in which they were. Only the last one can be recorded, so whoever announces after
 * another may remove the file of the other. A name is taken off the list only when those before it were, too: else one
 * of these would be the last one again while somebody removes its file.
 */

/** The meta key of the files that were announced: an array of names. */
const ANNOUNCED = 'announced_archives';

/**
 * The names on the list.
 *
 * @throws Error if it has anything but names of archives of this installation: what is on it is removed
 */
export async function listAnnounced(db: Db): Promise<string[]> {
  const text = await findMeta(db, ANNOUNCED);
  if (text === null) return [];
  const { installation } = await readHead(db);
  const names = namesIn(text);
  if (names === null) throw changedList('is no list of names');
  const other = names.find((name) => typeof name !== 'string' || !isArchiveName(name, installation));
  if (other !== undefined)
    throw changedList(`has ${JSON.stringify(other)}, which is no archive of this installation`);
  return names as string[];
}

function namesIn(text: string): unknown[] | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * Announces a file.
 *
 * @returns those before it, which nobody can record any more, and none of which was recorded
 * @throws Error if one was, or if the list has other names
 */
export async function announce(tx: Tx, name: string): Promise<string[]> {
  const before = await listAnnounced(tx);
  const recorded = await findRecordedFile(tx, before);
  if (recorded !== null) throw changedList(`has ${recorded}, which has inputs of the log`);
  await setMeta(tx, ANNOUNCED, JSON.stringify([...before, name]));
  return before;
}

function changedList(how: string): Error {
  return new Error(
    `The list of files that were announced and never recorded ${how}: somebody else has changed the database. No file was removed, and no input is moved until the row "${ANNOUNCED}" of its table meta is deleted.`,
  );
}

/** Whether nobody has announced a file after this one. */
export async function isLastAnnounced(tx: Tx, name: string): Promise<boolean> {
  return (await listAnnounced(tx)).at(-1) === name;
}

/** Takes names off the list: that of a file that was recorded, or those of files that were removed. */
export async function takeOff(tx: Tx, names: readonly string[]): Promise<void> {
  const left = (await listAnnounced(tx)).filter((name) => !names.includes(name));
  if (left.length === 0) await removeMeta(tx, ANNOUNCED);
  else await setMeta(tx, ANNOUNCED, JSON.stringify(left));
}
