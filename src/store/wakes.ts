import { hasElement } from './dialect.ts';
import { OPEN_STATES } from './request-states.ts';
import type { WakesTable } from './schema.ts';
import type { Db, Tx } from './statement.ts';

/*
 * What is over, and whom it held back. A write that ends a cause stores one row, however many requests waited for it; the
 * scheduler then decides them again, a few at a time.
 */

/** The cause of requests whose authors are revoked. */
export const HELD_BY_PARKING = 'parked';

/** The cause of requests that a freeze covers. */
export function heldByFreeze(freezeId: string): string {
  return `freeze:${freezeId}`;
}

/** Lets the requests that a cause held back be decided again. It takes the place of an earlier wake of that cause. */
export async function wake(tx: Tx, id: string, cause: string): Promise<void> {
  await tx.deleteFrom('wakes').where('cause', '=', cause).execute();
  await tx.insertInto('wakes').values({ id, cause, after_id: '' }).execute();
}

/** The oldest wake whose requests were not all decided again, or undefined. */
export function findWake(db: Db): Promise<WakesTable | undefined> {
  return db.selectFrom('wakes').selectAll().orderBy('id').limit(1).executeTakeFirst();
}

/** The next open requests of a wake: those that its cause held back at their last decision. */
export async function listWoken(db: Db, { cause, after_id }: WakesTable, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('held_by', 'is not', null)
    .where('state', 'in', OPEN_STATES)
    .where('id', '>', after_id)
    .where(hasElement(db, 'held_by', cause))
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** Notes that a request of the wake, and all before it, were decided again. */
export async function advanceWake(tx: Tx, id: string, requestId: string): Promise<void> {
  await tx.updateTable('wakes').set({ after_id: requestId }).where('id', '=', id).execute();
}

/** Ends a wake. */
export async function endWake(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('wakes').where('id', '=', id).execute();
}
