import type { OutboxTable } from './schema-log.ts';
import { deferredInsert, type Tx } from './statement.ts';

const insertEffect = deferredInsert<OutboxTable>('outbox', ['place', 'effect']);

/** Queues an effect of the record at a place for delivery outside, after the commit of this write. */
export async function insertOutbox(tx: Tx, row: OutboxTable): Promise<void> {
  await insertEffect(tx, row);
}
