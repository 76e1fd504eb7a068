import type { PolicyReportsTable } from './schema.ts';
import type { Db, Tx } from './statement.ts';

/** Stores a report. Idempotent: what was measured is kept from the first time. */
export async function insertReport(tx: Tx, report: PolicyReportsTable): Promise<void> {
  await tx
    .insertInto('policy_reports')
    .values(report)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** A report by its digest, or null. */
export async function findReport(db: Db, digest: string): Promise<PolicyReportsTable | null> {
  const found = await db
    .selectFrom('policy_reports')
    .selectAll()
    .where('digest', '=', digest)
    .executeTakeFirst();
  return found ?? null;
}
