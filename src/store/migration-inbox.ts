import { type Kysely, sql } from 'kysely';

/**
 * Finds what waits for a person, however many requests there are: pending ones by the approvals that they want, and open ones
 * by the human who proposed them. Those of before get their gate when they are next decided; until then they are looked at
 * one by one.
 */
export async function addInbox(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('requests').addColumn('gate', 'text').execute();
  await db.schema.alterTable('requests').addColumn('owner', 'text').execute();
  await sql`update requests set gate = '' where state = 'pending'`.execute(db);
  await sql`update requests set owner = json_extract(proposer, '$.person') where state in ('pending', 'ready')`.execute(
    db,
  );
  await sql`create index requests_gate on requests (gate, id) where gate is not null`.execute(db);
  await sql`create index requests_owner on requests (owner, id) where owner is not null`.execute(db);
}
