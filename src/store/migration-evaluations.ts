import type { Kysely } from 'kysely';
import { refuseChanges } from './append-only.ts';

/** Who evaluated which flag, counted per interval, beside the records that have the digests of the rows. */
export async function addEvaluations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('evaluations')
    .addColumn('id', 'bigint', (c) => c.primaryKey().notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('workload', 'text')
    .addColumn('flag', 'text')
    .addColumn('variant', 'text')
    .addColumn('count', 'bigint', (c) => c.notNull())
    .addColumn('first_ms', 'bigint', (c) => c.notNull())
    .addColumn('last_ms', 'bigint', (c) => c.notNull())
    .execute();
  const index = (name: string, columns: string[]) =>
    db.schema.createIndex(`evaluations_${name}`).on('evaluations').columns(columns).execute();
  await index('flag', ['flag', 'id']);
  await index('workload', ['workload', 'id']);
  await refuseChanges(db, 'evaluations', [['id']]);
}
