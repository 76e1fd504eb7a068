import { sql } from 'kysely';
import { isPostgres } from './dialect.ts';
import { MAX_ROWS_OF_RECORD, placeOfRow } from './evaluations.ts';
import { findLeaf } from './records.ts';
import { OPEN_STATES } from './request-states.ts';
import type { ArchivedInputsTable, ArchivesTable, RecordDetailsTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** The number of rows in one statement. */
const ROWS_AT_ONCE = 100;

/** The last place up to which something was taken out of the database; 0 if nothing was. */
export async function findLastTakenOut(db: Db, what: ArchivesTable['what']): Promise<number> {
  const row = await db
    .selectFrom('archives')
    .select('to_place')
    .where('what', '=', what)
    .orderBy('to_place', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.to_place ?? 0;
}

/** A file of these that was recorded, or null. */
export async function findRecordedFile(db: Db, files: readonly string[]): Promise<string | null> {
  if (files.length === 0) return null;
  const row = await db.selectFrom('archives').select('file').where('file', 'in', files).executeTakeFirst();
  return row?.file ?? null;
}

/** The last record before a time, by its place; 0 if there is none that can be read. */
export async function findLastBefore(db: Db, ms: number): Promise<number> {
  const row = await db
    .selectFrom('record_details')
    .select('place')
    .where('at_ms', '<', ms)
    .orderBy('at_ms', 'desc')
    .orderBy('place', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.place ?? 0;
}

/** A record whose input can be archived. */
export interface Archivable {
  place: number;
  at_ms: number;
  leaf: string;
  input: string;
  /** Whether its request is open: then its input still affects decisions. */
  isOpen: boolean;
}

/** The next records after a place whose details are not erased, in order. */
export async function listArchivable(db: Db, after: number, limit: number): Promise<Archivable[]> {
  const rows = await db
    .selectFrom('record_details')
    .innerJoin('leaves', 'leaves.place', 'record_details.place')
    .leftJoin('requests', (join) =>
      join.onRef('requests.id', '=', 'record_details.request_id').on('requests.state', 'in', OPEN_STATES),
    )
    .select([
      'record_details.place',
      'record_details.at_ms',
      'record_details.input',
      'leaves.leaf',
      'requests.id as open',
    ])
    .where('record_details.place', '>', after)
    .orderBy('record_details.place')
    .limit(limit)
    .execute();
  return rows.map(({ open, ...row }) => ({ ...row, isOpen: open !== null }));
}

/** How many inputs there are in the database up to a place, and how many characters they have. */
export async function measureInputs(
  db: Db,
  { after, to }: { after: number; to: number },
): Promise<{ count: number; characters: number }> {
  const row = await db
    .selectFrom('record_details')
    .select((e) => [e.fn.countAll<number>().as('count'), sql<number>`sum(length(input))`.as('characters')])
    .where('place', '>', after)
    .where('place', '<=', to)
    .executeTakeFirstOrThrow();
  return { count: Number(row.count), characters: Number(row.characters ?? 0) };
}

/** The first record after a place that belongs to an open request, or null. */
export async function findFirstOpen(db: Db, after: number): Promise<number | null> {
  const row = await db
    .selectFrom('requests')
    .innerJoin('record_details', 'record_details.request_id', 'requests.id')
    .select((e) => e.fn.min('record_details.place').as('first'))
    .where('requests.state', 'in', OPEN_STATES)
    .where('record_details.place', '>', after)
    .executeTakeFirst();
  return row?.first ?? null;
}

/** How many rows of evaluations there are of a span of records. */
export async function countOldEvaluations(
  db: Db,
  { from, to }: { from: number; to: number },
): Promise<number> {
  const { count } = await db
    .selectFrom('evaluations')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('id', '>=', from * MAX_ROWS_OF_RECORD)
    .where('id', '<', (to + 1) * MAX_ROWS_OF_RECORD)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Says what was taken out, beside the record at the place, which has to say the same. */
export async function insertArchive(tx: Tx, row: ArchivesTable): Promise<void> {
  // The database compares the row with the leaf, which may wait for the end of the batch.
  await findLeaf(tx, row.place);
  await tx.insertInto('archives').values(row).execute();
}

/**
 * Takes inputs out of the database, in the write of the record that says so.
 *
 * @param archive the row that {@link insertArchive} has inserted
 * @param inputs those that are in the file, one for each record that can be read; those erased since are left out
 */
export async function takeOutInputs(
  tx: Tx,
  archive: ArchivesTable,
  inputs: readonly Omit<ArchivedInputsTable, 'archived_by'>[],
): Promise<void> {
  const rows = inputs.map((input) => ({ ...input, archived_by: archive.place }));
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
    await tx
      .insertInto('archived_inputs')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .execute();
  await overwriteDeleted(tx);
  await tx
    .updateTable('record_details')
    .set({ input: '' })
    .where('place', '>=', archive.from_place)
    .where('place', '<=', archive.to_place)
    .execute();
}

/** SQLite keeps what it frees of a page: whoever is erased later would still be there. */
async function overwriteDeleted(tx: Tx): Promise<void> {
  if (!isPostgres(tx)) await sql`pragma secure_delete = on`.execute(tx);
}

/** The places of a span whose details are not erased. */
export async function listReadableIn(db: Db, { from, to }: { from: number; to: number }): Promise<number[]> {
  const rows = await db
    .selectFrom('record_details')
    .select('place')
    .where('place', '>=', from)
    .where('place', '<=', to)
    .orderBy('place')
    .execute();
  return rows.map(({ place }) => place);
}

/**
 * The first rows of evaluations of a span of records, at most about `limit`: up to which record, and how many. Null if there are
 * none.
 */
export async function findOldEvaluations(
  db: Db,
  { from, to, limit }: { from: number; to: number; limit: number },
): Promise<{ to: number; count: number } | null> {
  const rows = await db
    .selectFrom('evaluations')
    .select('id')
    .where('id', '>=', from * MAX_ROWS_OF_RECORD)
    .where('id', '<', (to + 1) * MAX_ROWS_OF_RECORD)
    .orderBy('id')
    .limit(limit + MAX_ROWS_OF_RECORD)
    .execute();
  const [last, inLimit] = [rows.at(-1), rows[limit - 1]];
  if (last === undefined) return null;
  if (inLimit === undefined || rows.length < limit + MAX_ROWS_OF_RECORD) return { to, count: rows.length };
  // Rows of one record stay together.
  const lastPlace = placeOfRow(inLimit.id);
  return { to: lastPlace, count: rows.filter(({ id }) => placeOfRow(id) <= lastPlace).length };
}

/** Deletes rows of evaluations, in the write of the record that says so. */
export async function deleteEvaluations(tx: Tx, { from_place, to_place }: ArchivesTable): Promise<void> {
  await tx
    .deleteFrom('evaluations')
    .where('id', '>=', from_place * MAX_ROWS_OF_RECORD)
    .where('id', '<', (to_place + 1) * MAX_ROWS_OF_RECORD)
    .execute();
}

/** The place of the record that deleted the rows of evaluations of a record, or null. */
export async function findDeletionOf(db: Db, place: number): Promise<number | null> {
  const row = await db
    .selectFrom('archives')
    .select('place')
    .where('what', '=', 'evaluations')
    .where('from_place', '<=', place)
    .where('to_place', '>=', place)
    .executeTakeFirst();
  return row?.place ?? null;
}

/** A record whose input was archived, with the digests of its words. */
export type ArchivedWords = Pick<
  RecordDetailsTable,
  'place' | 'at_ms' | 'principal_id' | 'person' | 'request_id'
> &
  Pick<ArchivedInputsTable, 'words'>;

/** The archived inputs of the records after one place, up to another. */
export function listArchivedWords(
  db: Db,
  { after, to }: { after: number; to: number },
): Promise<ArchivedWords[]> {
  return db
    .selectFrom('archived_inputs')
    .innerJoin('record_details as details', 'details.place', 'archived_inputs.place')
    .select([
      'details.place',
      'details.at_ms',
      'details.principal_id',
      'details.person',
      'details.request_id',
      'archived_inputs.words',
    ])
    .where('archived_inputs.place', '>', after)
    .where('archived_inputs.place', '<=', to)
    .orderBy('archived_inputs.place')
    .execute();
}
