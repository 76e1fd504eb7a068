import type { Kysely } from 'kysely';
import { refuseChanges } from './append-only.ts';

/** Which bundles the broker built, and from what. Those of before are not known. */
export async function addBuiltBundles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('built_bundles')
    .addColumn('archive_digest', 'text', (c) => c.primaryKey().notNull())
    .addColumn('root_hash', 'text', (c) => c.notNull())
    .addColumn('root_digest', 'text', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'built_bundles', [['archive_digest']], { ignoresRepeats: true });
}
