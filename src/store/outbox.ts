import type { OutboxTable } from './schema-log.ts';
import { statement, type Tx } from './statement.ts';

const insertStatement = statement<OutboxTable>((db, p) =>
  db.insertInto('outbox').values({ place: p('place'), effect: p('effect') }),
);

/** Notes that an effect of the record at a place is to be delivered outside, once this write is durable. */
export async function insertOutbox(tx: Tx, row: OutboxTable): Promise<void> {
  await insertStatement(tx, row);
}
