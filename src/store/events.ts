import { isAmong } from './dialect.ts';
import type { Db } from './statement.ts';

/** A record, as far as an event tells of it: its leaf has no name of a person. */
export interface EventRow {
  place: number;
  leaf: string;
}

/** The leaves after a place, oldest first. Leaves of version 0 tell too little. */
export function listLeavesAfter(db: Db, after: number, limit: number): Promise<EventRow[]> {
  return db
    .selectFrom('leaves')
    .select(['place', 'leaf'])
    .where('place', '>', after)
    .where('schema_version', '>', 0)
    .orderBy('place')
    .limit(limit)
    .execute();
}

/** The namespaces of requests, as lists show them. */
export async function listNamespacesOf(
  db: Db,
  requestIds: readonly string[],
): Promise<ReadonlyMap<string, string[]>> {
  if (requestIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('request_namespaces')
    .selectAll()
    .where(isAmong(db, 'request_id', requestIds))
    .execute();
  const byRequest = Map.groupBy(rows, ({ request_id }) => request_id);
  return new Map([...byRequest].map(([id, found]) => [id, found.map(({ namespace }) => namespace)]));
}
