import { ARCHIVE_PLACE, type ArchivePlace } from './archived-inputs.ts';
import type { LeavesTable, RecordDetailsTable } from './schema-log.ts';
import type { Db } from './statement.ts';

/**
 * A leaf with what is needed to make its decision again; the other members are null where that was erased. Where the input was
 * archived, `archive` says where it is: {@link readInput}.
 */
export type ReplayRow = LeavesTable & {
  [Member in 'id' | 'policy_hash' | 'salt' | 'input' | 'result']: RecordDetailsTable[Member] | null;
} & { erased_by: number | null } & ArchivePlace;

function selectReplays(db: Db) {
  return db
    .selectFrom('leaves')
    .leftJoin('record_details as details', 'details.place', 'leaves.place')
    .leftJoin('erasures', 'erasures.place', 'leaves.place')
    .leftJoin('archived_inputs as archived', 'archived.place', 'leaves.place')
    .leftJoin('archives', 'archives.place', 'archived.archived_by')
    .select([
      'leaves.place',
      'leaves.schema_version',
      'leaves.leaf',
      'details.id',
      'details.policy_hash',
      'details.salt',
      'details.input',
      'details.result',
      'erasures.erased_by',
      ...ARCHIVE_PLACE,
    ]);
}

/** The records at these places (inclusive), in order, erased ones too, at most `limit`. */
export function listReplayRows(
  db: Db,
  { from, to, limit }: { from: number; to: number; limit: number },
): Promise<ReplayRow[]> {
  return selectReplays(db)
    .where('leaves.place', '>=', from)
    .where('leaves.place', '<=', to)
    .orderBy('leaves.place')
    .limit(limit)
    .execute();
}

/** The same without what proves the record: what a backtest needs. */
export function listBacktestRows(
  db: Db,
  { from, to, limit }: { from: number; to: number; limit: number },
): Promise<Pick<ReplayRow, 'place' | 'schema_version' | 'leaf' | 'input' | 'result'>[]> {
  return db
    .selectFrom('leaves')
    .leftJoin('record_details as details', 'details.place', 'leaves.place')
    .select(['leaves.place', 'leaves.schema_version', 'leaves.leaf', 'details.input', 'details.result'])
    .where('leaves.place', '>=', from)
    .where('leaves.place', '<=', to)
    .orderBy('leaves.place')
    .limit(limit)
    .execute();
}

/** One record by its id, or undefined. For an erased one, only its leaf has the id. */
export async function findReplayRow(db: Db, id: string): Promise<ReplayRow | undefined> {
  const found = await selectReplays(db).where('details.id', '=', id).executeTakeFirst();
  return found ?? findErased(db, id);
}

/** Searches the leaves of erased records, which are few. */
async function findErased(db: Db, id: string): Promise<ReplayRow | undefined> {
  const candidates = await selectReplays(db)
    .where('erasures.place', 'is not', null)
    .where('leaves.leaf', 'like', `%"id":${JSON.stringify(id).replaceAll(/[%_\\]/g, '_')}%`)
    .execute();
  return candidates.find(({ leaf }) => (JSON.parse(leaf) as { id?: unknown }).id === id);
}

/** The place of the first readable record at or after a time (epoch milliseconds), or undefined. */
export async function findPlaceAt(db: Db, ms: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('record_details')
    .select('place')
    .where('at_ms', '>=', ms)
    .orderBy('at_ms')
    .orderBy('place')
    .limit(1)
    .executeTakeFirst();
  return row?.place;
}
