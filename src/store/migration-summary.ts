import { type Kysely, sql } from 'kysely';

/**
 * Counts what was held and refused by day: most records were allowed, and are not in the index. Applied requests are found by
 * their time; SQLite chooses the index of all states unless theirs begins with the state, too.
 */
export async function addSummary(db: Kysely<unknown>): Promise<void> {
  await sql`create index record_details_held on record_details (outcome, at_ms) where outcome <> 'allow'`.execute(
    db,
  );
  await sql`drop index requests_applied`.execute(db);
  await sql`create index requests_applied on requests (state, updated_ms) where state = 'applied'`.execute(
    db,
  );
}
