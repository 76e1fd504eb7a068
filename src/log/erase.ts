import { BrokerError } from '../errors.ts';
import { type Erasable, eraseReadable } from '../store/erasures.ts';
import { findPseudonym } from '../store/pseudonyms.ts';
import { listOpenRequestsOf, listReadable } from '../store/records.ts';
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
 * @throws BrokerError `invalid_request` for records of a request that is still open: who edited it, and by what its votes
 *   were given, still decides
 */
export async function erase(tx: Tx, { places, names }: Erasure, entry: Entry): Promise<Erasable> {
  const pseudonyms: string[] = [];
  for (const { kind, name } of names) {
    const pseudonym = await findPseudonym(tx, kind, name);
    if (pseudonym !== undefined) pseudonyms.push(pseudonym);
  }
  const readable = await listReadable(tx, places);
  await assertClosed(tx, readable);
  const erases = { places: readable, pseudonyms };
  await eraseReadable(tx, erases, await append(tx, { ...entry, erases }));
  return erases;
}

async function assertClosed(tx: Tx, places: readonly number[]): Promise<void> {
  const open = await listOpenRequestsOf(tx, places);
  if (open.length === 0) return;
  throw new BrokerError(
    'invalid_request',
    `Records of open requests are still needed to decide them: ${open.join(', ')}. Erase them once these are closed.`,
  );
}
