import { sql } from 'kysely';
import type { RequestsTable } from './schema.ts';
import type { Db } from './statement.ts';

/**
 * The requests that were applied in an environment since a time, newest first, from one of them on: by the index of applied
 * requests, which are read up to the limit.
 */
export function listAppliedIn(
  db: Db,
  {
    environment,
    since_ms,
    from,
    limit,
  }: { environment: string; since_ms: number; from: { ms: number; id: string } | null; limit: number },
): Promise<RequestsTable[]> {
  let query = db
    .selectFrom('requests')
    .selectAll()
    // Literal, so that the index of applied requests can be used.
    .where('state', '=', sql.lit('applied'))
    .where('updated_ms', '>=', since_ms)
    .where('environment', '=', environment);
  if (from !== null) {
    query = query
      .where('updated_ms', '<=', from.ms)
      .where((e) => e.or([e('updated_ms', '<', from.ms), e('id', '<=', from.id)]));
  }
  return query.orderBy('updated_ms', 'desc').orderBy('id', 'desc').limit(limit).execute();
}
