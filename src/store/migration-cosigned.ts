import type { Kysely } from 'kysely';

/** What a quorum of witnesses has cosigned last, in the head of the log: policies may ask for it. */
export async function addCosignedHead(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('log_head').addColumn('cosigned_size', 'integer').execute();
  await db.schema.alterTable('log_head').addColumn('cosigned_ms', 'bigint').execute();
}
