import { type Erasable, eraseReadable } from '../store/erasures.ts';
import { findPseudonym } from '../store/pseudonyms.ts';
import { listReadable } from '../store/records.ts';
import type { PseudonymsTable } from '../store/schema-log.ts';
import type { Tx } from '../store/statement.ts';
import { append } from './append.ts';
import type { Entry } from './entry.ts';

/** What is to be readable no more: records by place, and the names of principals or persons. */
export interface Erasure {
  places: readonly number[];
  names: readonly Pick<PseudonymsTable, 'kind' | 'name'>[];
}

/**
 * Erases what is readable of records, and which pseudonyms stand for whom, in the write of the record that says so. The
 * only function that removes anything of the log: every leaf stays as it is, and so does every proof about it. What
 * remains in a leaf are pseudonyms whose names nobody knows and digests whose salt is gone.
 *
 * @param entry the record of the decision that allows it; what it erases is added
 * @returns what was there to be erased
 */
export async function erase(tx: Tx, { places, names }: Erasure, entry: Entry): Promise<Erasable> {
  const pseudonyms: string[] = [];
  for (const { kind, name } of names) {
    const pseudonym = await findPseudonym(tx, kind, name);
    if (pseudonym !== undefined) pseudonyms.push(pseudonym);
  }
  const erases = { places: await listReadable(tx, places), pseudonyms };
  await eraseReadable(tx, erases, await append(tx, { ...entry, erases }));
  return erases;
}
