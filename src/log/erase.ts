import { type Erasable, eraseReadable } from '../store/erasures.ts';
import { findPseudonym } from '../store/pseudonyms.ts';
import { listReadable } from '../store/records.ts';
import type { PseudonymsTable } from '../store/schema-log.ts';
import type { Tx } from '../store/statement.ts';
import { append, type Entry } from './append.ts';

/** What to erase: the details of records by place, and the names of principals or persons. */
export interface Erasure {
  places: readonly number[];
  names: readonly Pick<PseudonymsTable, 'kind' | 'name'>[];
}

/**
 * Erases the readable details of records and the mapping of pseudonyms to names, in the write of the record that says so.
 * The only function that removes anything from the log. Every leaf is unchanged, and so is every proof about it. A leaf
 * then contains only pseudonyms without a known name and digests without a salt.
 *
 * @param entry the record of the decision that allows the erasure; what it erases is added
 * @returns what was erased
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
