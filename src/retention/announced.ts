import { findMeta, removeMeta, setMeta } from '../store/installation.ts';
import type { Db, Tx } from '../store/statement.ts';

/*
 * The files that were announced, in the order in which they were. Only the last one can be recorded, so whoever announces after
 * another may remove the file of the other. A name is taken off the list only when those before it were, too: else one
 * of these would be the last one again while somebody removes its file.
 */

/** The meta key of the files that were announced: an array of names. */
const ANNOUNCED = 'announced_archives';

/** The names on the list. */
export async function listAnnounced(db: Db): Promise<string[]> {
  const text = await findMeta(db, ANNOUNCED);
  return text === null ? [] : (JSON.parse(text) as string[]);
}

/**
 * Announces a file.
 *
 * @returns those before it, which nobody can record any more, and none of which was recorded
 */
export async function announce(tx: Tx, name: string): Promise<string[]> {
  const before = await listAnnounced(tx);
  await setMeta(tx, ANNOUNCED, JSON.stringify([...before, name]));
  return before;
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
