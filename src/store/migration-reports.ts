import type { Kysely } from 'kysely';
import { refuseChanges } from './append-only.ts';

/** The reports of candidate policies that requests are based on. */
export async function addPolicyReports(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('policy_reports')
    .addColumn('digest', 'text', (c) => c.primaryKey().notNull())
    .addColumn('report', 'text', (c) => c.notNull())
    .addColumn('measured', 'text', (c) => c.notNull())
    .addColumn('stored_ms', 'bigint', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'policy_reports', [['digest']], { ignoresRepeats: true });
}
