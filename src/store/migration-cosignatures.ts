import type { Kysely } from 'kysely';

/** The cosignatures of witnesses: of the last checkpoint that a quorum has cosigned, and of later ones. */
export async function addCosignatures(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('cosignatures')
    .addColumn('witness', 'text', (c) => c.notNull())
    .addColumn('origin', 'text', (c) => c.notNull())
    .addColumn('size', 'integer', (c) => c.notNull())
    .addColumn('root', 'text', (c) => c.notNull())
    .addColumn('note', 'text', (c) => c.notNull())
    .addColumn('line', 'text', (c) => c.notNull())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('cosignatures_pk', ['witness', 'origin', 'size'])
    .execute();
}
