import { sql } from 'kysely';
import { DAY_MS } from '../moment.ts';
import type { Db } from './statement.ts';

/** How many records of one outcome there are in a time, by the number of the day since the epoch: by an index alone. */
export async function countByDay(
  db: Db,
  { outcome, from_ms, to_ms }: { outcome: 'hold' | 'deny'; from_ms: number; to_ms: number },
): Promise<ReadonlyMap<number, number>> {
  const day = sql<number>`at_ms / ${sql.lit(DAY_MS)}`;
  const rows = await db
    .selectFrom('record_details')
    .select([day.as('day'), (e) => e.fn.countAll<number>().as('count')])
    // Both are literals, and the second is that of the index: otherwise SQLite does not use it.
    .where('outcome', '=', sql.lit(outcome))
    .where('outcome', '<>', sql.lit('allow'))
    .where('at_ms', '>=', from_ms)
    .where('at_ms', '<', to_ms)
    .groupBy(day)
    .execute();
  return new Map(rows.map((row) => [Number(row.day), Number(row.count)]));
}

/** When requests were proposed and applied, of those that were applied in a time: by the index of applied requests. */
export function listAppliedTimes(
  db: Db,
  { from_ms, to_ms, limit }: { from_ms: number; to_ms: number; limit: number },
): Promise<{ created_ms: number; updated_ms: number }[]> {
  return db
    .selectFrom('requests')
    .select(['created_ms', 'updated_ms'])
    .where('state', '=', sql.lit('applied'))
    .where('updated_ms', '>=', from_ms)
    .where('updated_ms', '<', to_ms)
    .limit(limit)
    .execute();
}
