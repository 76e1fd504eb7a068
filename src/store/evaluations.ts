import { isAmong, notByIndex } from './dialect.ts';
import { type ScannedPage, type Stream, scanPage } from './scan.ts';
import type { EvaluationsTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** The rows of one record at most: they are numbered within it. */
export const MAX_ROWS_OF_RECORD = 1000;

/** A row as the digest of its record covers it. `workload` is the pseudonym of a principal. */
export type EvaluationRow = Omit<EvaluationsTable, 'id'>;

/** The number of rows in one statement. */
const ROWS_AT_ONCE = 50;

function idOf(place: number, index: number): number {
  return place * MAX_ROWS_OF_RECORD + index;
}

/** The place of the record that a row belongs to. */
export function placeOfRow(id: number): number {
  return Math.floor(id / MAX_ROWS_OF_RECORD);
}

/** Stores the rows of the record at a place, in their order. */
export async function insertEvaluations(
  tx: Tx,
  place: number,
  rows: readonly EvaluationRow[],
): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const values = rows
      .slice(from, from + ROWS_AT_ONCE)
      .map((row, index) => ({ id: idOf(place, from + index), ...row }));
    await tx.insertInto('evaluations').values(values).execute();
  }
}

/** The rows of the record at a place, in their order. */
export async function listEvaluationsOf(db: Db, place: number): Promise<EvaluationRow[]> {
  const rows = await db
    .selectFrom('evaluations')
    .selectAll()
    .where('id', '>=', idOf(place, 0))
    .where('id', '<', idOf(place + 1, 0))
    .orderBy('id')
    .execute();
  return rows.map(({ id: _, ...row }) => row);
}

/** The filter of {@link listEvaluations}; every part is optional. */
export interface EvaluationFilter {
  flag?: string | undefined;
  environment?: string | undefined;
  /** The pseudonym of a principal. */
  workload?: string | undefined;
  /** Evaluations from this time on (inclusive), in epoch milliseconds. */
  from_ms?: number | undefined;
  /** Evaluations before this time. */
  to_ms?: number | undefined;
}

/** A row with the name behind its pseudonym; null if it has none, or it was erased. */
export type NamedEvaluation = EvaluationsTable & { name: string | null };

/** How many rows a page looks at. */
const MAX_LOOKS = 2000;

/** One page of the rows, newest first, only those before an id. */
export function listEvaluations(
  db: Db,
  { filter, before, limit }: { filter: EvaluationFilter; before: number | null; limit: number },
): Promise<ScannedPage<number, NamedEvaluation>> {
  return scanPage({
    streams: [idsOf(db, filter)],
    fetch: (ids, count) => fetchRows(db, filter, { ids, limit: count }),
    keyOf: ({ id }) => id,
    before,
    limit,
    maxLooks: MAX_LOOKS,
  });
}

/** The ids in the narrowest index that the filter has. */
function idsOf(db: Db, { flag, workload }: EvaluationFilter): Stream<number> {
  return async (before, count) => {
    let query = db.selectFrom('evaluations').select('id').orderBy('id', 'desc').limit(count);
    if (flag !== undefined) query = query.where('flag', '=', flag);
    else if (workload !== undefined) query = query.where('workload', '=', workload);
    if (before !== null) query = query.where('id', '<', before);
    return (await query.execute()).map(({ id }) => id);
  };
}

function fetchRows(
  db: Db,
  { flag, environment, workload, from_ms, to_ms }: EvaluationFilter,
  { ids, limit }: { ids: readonly number[]; limit: number },
): Promise<NamedEvaluation[]> {
  let query = db
    .selectFrom('evaluations')
    .leftJoin('pseudonyms', (join) =>
      join.onRef('pseudonyms.pseudonym', '=', 'evaluations.workload').on('pseudonyms.kind', '=', 'principal'),
    )
    .selectAll('evaluations')
    .select('pseudonyms.name')
    .where(isAmong(db, 'evaluations.id', ids));
  if (flag !== undefined) query = query.where(notByIndex(db, 'evaluations.flag'), '=', flag);
  if (workload !== undefined) query = query.where(notByIndex(db, 'evaluations.workload'), '=', workload);
  if (environment !== undefined) query = query.where('evaluations.environment', '=', environment);
  if (from_ms !== undefined) query = query.where('evaluations.last_ms', '>=', from_ms);
  if (to_ms !== undefined) query = query.where('evaluations.first_ms', '<', to_ms);
  return query.orderBy('evaluations.id', 'desc').limit(limit).execute();
}
