import { type Kysely, sql } from 'kysely';

/** Counts what was held and refused by day. Most records were allowed, and are not in the index. */
export async function addSummary(db: Kysely<unknown>): Promise<void> {
  await sql`create index record_details_held on record_details (outcome, at_ms) where outcome <> 'allow'`.execute(
    db,
  );
}
