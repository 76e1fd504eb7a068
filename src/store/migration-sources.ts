import type { Kysely } from 'kysely';
import { refuseChanges } from './append-only.ts';

/** Which CI job uploaded a bundle. */
export async function addBundleSources(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('bundle_sources')
    .addColumn('archive_digest', 'text', (c) => c.primaryKey().notNull())
    .addColumn('source', 'text', (c) => c.notNull())
    .addColumn('stored_ms', 'bigint', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'bundle_sources', [['archive_digest']], { ignoresRepeats: true });
}
