import type { OutboxTable } from './schema-log.ts';
import { statement, type Tx } from './statement.ts';

const insertStatement = statement<OutboxTable>((db, p) =>
  db.insertInto('outbox').values({ place: p('place'), effect: p('effect') }),
);

/** Queues an effect of the record at a place for delivery outside, after the commit of this write. */
export async function insertOutbox(tx: Tx, row: OutboxTable): Promise<void> {
  await insertStatement(tx, row);
}
