import { batchOf } from './batch.ts';
import type { Tx } from './statement.ts';

/** The data that may be erased: the details of records by place, and pseudonyms. */
export interface Erasable {
  places: readonly number[];
  pseudonyms: readonly string[];
}

/**
 * Deletes readable data. Each row of `erasures` permits the deletion of exactly one row, and is kept.
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
  // Now for later writes of this batch, and again after the commit for earlier ones.
  const { pseudonyms, afterCommit } = batchOf(tx);
  pseudonyms.clear();
  afterCommit(() => pseudonyms.clear());
}
