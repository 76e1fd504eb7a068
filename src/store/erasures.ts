import { sql } from 'kysely';
import { batchOf } from './batch.ts';
import { isAmong, isPostgres } from './dialect.ts';
import { insertDeferred, type Tx } from './statement.ts';

/** The rows that are erased in one statement. */
const ROWS_AT_ONCE = 500;

/** The data that may be erased: the details of records by place, and pseudonyms. */
export interface Erasable {
  places: readonly number[];
  pseudonyms: readonly string[];
}

/**
 * Overwrites what earlier changes freed of the database file, in this write and in those before it. SQLite keeps the content
 * of pages that it frees. A database server has a vacuum for it, which no transaction can run.
 */
export async function overwriteFreed(tx: Tx): Promise<void> {
  if (isPostgres(tx)) return;
  // Until the connection is opened anew: what this write frees is overwritten, too.
  await sql`pragma secure_delete = on`.execute(tx);
  const { rows } = await sql<{ bytes: number }>`select freelist_count * page_size as bytes
    from pragma_freelist_count, pragma_page_size`.execute(tx);
  for (let left = rows[0]?.bytes ?? 0; left > 0; left -= BLANK_BYTES) {
    await sql`insert into meta (key, value)
      values (${`blank ${left}`}, zeroblob(${Math.min(left, BLANK_BYTES)}))`.execute(tx);
  }
  await sql`delete from meta where key like 'blank %'`.execute(tx);
}

/** The size of a row that takes freed pages. */
const BLANK_BYTES = 64 * 1024 * 1024;

/**
 * Deletes readable data. Each row of `erasures` permits the deletion of exactly one row, and is kept.
 *
 * @param erasedBy the place of the record of this erasure, which is appended before
 */
export async function eraseReadable(tx: Tx, what: Erasable, erasedBy: number): Promise<void> {
  // A server tries each row of `erasures` by the record.
  insertDeferred(tx);
  for (let from = 0; from < what.places.length; from += ROWS_AT_ONCE) {
    const places = what.places.slice(from, from + ROWS_AT_ONCE);
    const rows = places.map((place) => ({ place, pseudonym: null, erased_by: erasedBy }));
    await tx.insertInto('erasures').values(rows).execute();
    await tx
      .deleteFrom('record_details')
      .where(isAmong(tx, 'place', places))
      .execute();
    // With the key, whatever is in an archive.
    await tx
      .deleteFrom('archived_inputs')
      .where(isAmong(tx, 'place', places))
      .execute();
  }
  for (let from = 0; from < what.pseudonyms.length; from += ROWS_AT_ONCE) {
    const pseudonyms = what.pseudonyms.slice(from, from + ROWS_AT_ONCE);
    const rows = pseudonyms.map((pseudonym) => ({ place: null, pseudonym, erased_by: erasedBy }));
    await tx.insertInto('erasures').values(rows).execute();
    await tx
      .deleteFrom('pseudonyms')
      .where(isAmong(tx, 'pseudonym', pseudonyms))
      .execute();
  }
  // Now for later writes of this batch, and again after the commit for earlier ones.
  const { pseudonyms, afterCommit } = batchOf(tx);
  pseudonyms.clear();
  afterCommit(() => pseudonyms.clear());
}
