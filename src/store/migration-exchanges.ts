import type { Kysely } from 'kysely';

/** Tokens that may be exchanged again: what for, and how often they were. */
export async function addExchanges(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('used_tokens').addColumn('repeatable_for', 'text').execute();
  await db.schema
    .alterTable('used_tokens')
    .addColumn('uses', 'integer', (c) => c.notNull().defaultTo(1))
    .execute();
}
