import { BrokerError } from '../errors.ts';
import type { Erasable } from '../store/erasures.ts';
import { findPseudonym } from '../store/pseudonyms.ts';
import { listOpenRequestsOf, listReadable } from '../store/records.ts';
import type { PseudonymsTable } from '../store/schema-log.ts';
import type { Tx } from '../store/statement.ts';
import { append } from './append.ts';
import type { Entry } from './entry.ts';

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
 * @throws BrokerError `invalid_request` for records of an open request: its editors and the credentials of its votes still
 *   affect decisions
 */
export async function erase(tx: Tx, what: Erasure, entry: Entry): Promise<Erasable> {
  const erases = await erasableOf(tx, what);
  await append(tx, { ...entry, erases });
  return erases;
}

/**
 * What there is to erase of that, for the record of the decision that allows it, which erases it.
 *
 * @param options.except requests that need nothing of it: the one that is closed by the same write, and others that erase
 *   the same person, who is then gone
 * @throws BrokerError `invalid_request` as {@link erase}
 */
export async function erasableOf(
  tx: Tx,
  { places, names }: Erasure,
  { except = [] }: { except?: readonly string[] } = {},
): Promise<Erasable> {
  const pseudonyms: string[] = [];
  for (const { kind, name } of names) {
    const pseudonym = await findPseudonym(tx, kind, name);
    if (pseudonym !== undefined) pseudonyms.push(pseudonym);
  }
  const readable = await listReadable(tx, places);
  await assertClosed(tx, readable, except);
  return { places: readable, pseudonyms };
}

async function assertClosed(tx: Tx, places: readonly number[], except: readonly string[]): Promise<void> {
  const open = (await listOpenRequestsOf(tx, places)).filter((id) => !except.includes(id));
  if (open.length === 0) return;
  throw new BrokerError(
    'invalid_request',
    `Records of open requests are still needed to decide them: ${open.join(', ')}. Erase them once these are closed.`,
  );
}
