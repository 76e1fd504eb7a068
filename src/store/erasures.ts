import { batchOf } from './batch.ts';
import type { Tx } from './statement.ts';

/** What may be erased beside the leaves: the details of records by place, and pseudonyms. */
export interface Erasable {
  places: readonly number[];
  pseudonyms: readonly string[];
}

/**
 * Deletes what is readable. Each row of `erasures` opens the database for exactly one row, and stays.
 *
 * @param erasedBy the place of the record of this erasure
 */
export async function eraseReadable(tx: Tx, what: Erasable, erasedBy: number): Promise<void> {
  for (const place of what.places) {
    await tx.insertInto('erasures').values({ place, pseudonym: null, erased_by: erasedBy }).execute();
    await tx.deleteFrom('record_details').where('place', '=', place).execute();
  }
  for (const pseudonym of what.pseudonyms) {
    await tx.insertInto('erasures').values({ place: null, pseudonym, erased_by: erasedBy }).execute();
    await tx.deleteFrom('pseudonyms').where('pseudonym', '=', pseudonym).execute();
  }
  // At once for what follows in this batch, and again for what came before it in it.
  const { pseudonyms, afterCommit } = batchOf(tx);
  pseudonyms.clear();
  afterCommit(() => pseudonyms.clear());
}
