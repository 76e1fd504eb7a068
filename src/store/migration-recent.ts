import { type Kysely, sql } from 'kysely';

/** Finds the requests that were applied in the last minutes, however many were applied before. */
export async function addRecent(db: Kysely<unknown>): Promise<void> {
  await sql`create index requests_applied on requests (updated_ms) where state = 'applied'`.execute(db);
}
