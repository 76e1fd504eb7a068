import { type Kysely, sql } from 'kysely';

/**
 * The module of each activation, the current activation of each stage, and which stage decided what. Older activations have
 * no module, and older records no stage: there was one stage for all.
 */
export async function addStages(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('policy_activations').addColumn('module', 'text').execute();
  await db.schema
    .createIndex('policy_activations_stage')
    .on('policy_activations')
    .columns(['stage', 'number'])
    .execute();
  await db.schema.alterTable('record_details').addColumn('stage', 'text').execute();
  await sql`create index record_details_stage on record_details (stage, at_ms)
    where stage is not null`.execute(db);
}
