import {
  deleteEvaluations,
  findLastBefore,
  findLastTakenOut,
  findOldEvaluations,
  insertArchive,
} from '../store/archives.ts';
import { type RetentionDeps, recordRetention } from './record.ts';

/** The rows that one write deletes, at most about. */
const ROWS_AT_ONCE = 5000;

/** Counts of evaluations that were deleted: of which records, and how many. */
export interface DeletedEvaluations {
  from_place: number;
  to_place: number;
  count: number;
}

/**
 * Deletes the next counts of evaluations of records before a time. The digest of each interval stays in its record.
 *
 * @returns null if there are none
 */
export async function deleteOldEvaluations(
  deps: RetentionDeps,
  { before_ms }: { before_ms: number },
): Promise<DeletedEvaluations | null> {
  return deps.store.writer.write(async (tx) => {
    const from_place = (await findLastTakenOut(tx, 'evaluations')) + 1;
    const last = await findLastBefore(tx, before_ms);
    const old = await findOldEvaluations(tx, { from: from_place, to: last, limit: ROWS_AT_ONCE });
    if (old === null) return null;
    const said = {
      what: 'evaluations',
      from_place,
      to_place: old.to,
      count: old.count,
      digest: null,
    } as const;
    const archive = { place: await recordRetention(tx, deps, said), ...said, file: null };
    await insertArchive(tx, archive);
    await deleteEvaluations(tx, archive);
    return { from_place, to_place: old.to, count: old.count };
  }, 'scheduled');
}
