import type { ReceiptsTable } from './schema-relays.ts';
import { type Db, deferredInsert, type Tx } from './statement.ts';

/** A receipt before anything was read back. */
export type NewReceipt = Pick<
  ReceiptsTable,
  'request_id' | 'environment' | 'version' | 'written' | 'applied_ms'
>;

/** How many receipts are looked at in one run. */
const MAX_DUE = 100;

const insertRow = deferredInsert<NewReceipt & Pick<ReceiptsTable, 'state'>>('receipts', [
  'request_id',
  'environment',
  'version',
  'written',
  'applied_ms',
  'state',
]);

/** Notes in the write itself that a request has to be read back, so that no crash forgets it. */
export async function insertReceipt(tx: Tx, receipt: NewReceipt): Promise<void> {
  await insertRow(tx, { ...receipt, state: 'pending' });
}

/** The receipts of a request. */
export function listReceipts(db: Db, requestId: string): Promise<ReceiptsTable[]> {
  return db
    .selectFrom('receipts')
    .selectAll()
    .where('request_id', '=', requestId)
    .orderBy('environment')
    .execute();
}

/** The receipts that are to be looked at, oldest first: pending ones, and unverified ones since a time. */
export async function listDueReceipts(db: Db, unverifiedSinceMs: number): Promise<ReceiptsTable[]> {
  const of = (state: string, sinceMs: number) =>
    db
      .selectFrom('receipts')
      .selectAll()
      .where('state', '=', state)
      .where('applied_ms', '>=', sinceMs)
      .orderBy('applied_ms')
      .limit(MAX_DUE)
      .execute();
  return [...(await of('pending', 0)), ...(await of('unverified', unverifiedSinceMs))];
}

/** What was read back of one. */
export type CheckedReceipt = Pick<
  ReceiptsTable,
  'request_id' | 'environment' | 'state' | 'served' | 'checked_ms'
>;

/** Notes what was read back. A receipt that is final stays as it is. */
export async function checkReceipt(
  tx: Tx,
  { request_id, environment, state, served, checked_ms }: CheckedReceipt,
): Promise<void> {
  await tx
    .updateTable('receipts')
    .set({ state, served, checked_ms })
    .where('request_id', '=', request_id)
    .where('environment', '=', environment)
    .where('state', 'in', ['pending', 'unverified'])
    .execute();
}

/** Notes that a relay serves the versions after one, up to another, since a time. */
export async function noteServed(
  tx: Tx,
  {
    environment,
    after,
    version,
    servedMs,
  }: { environment: string; after: number; version: number; servedMs: number },
): Promise<void> {
  await tx
    .updateTable('receipts')
    .set((e) => ({
      first_relay_ms: e
        .case()
        .when(e.or([e('first_relay_ms', 'is', null), e('first_relay_ms', '>', servedMs)]))
        .then(servedMs)
        .else(e.ref('first_relay_ms'))
        .end(),
      last_relay_ms: e
        .case()
        .when(e.or([e('last_relay_ms', 'is', null), e('last_relay_ms', '<', servedMs)]))
        .then(servedMs)
        .else(e.ref('last_relay_ms'))
        .end(),
    }))
    .where('environment', '=', environment)
    .where('version', '>', after)
    .where('version', '<=', version)
    .execute();
}

/** How many receipts are in each state. */
export async function countReceipts(db: Db): Promise<{ state: string; count: number }[]> {
  const rows = await db
    .selectFrom('receipts')
    .select(['state', (e) => e.fn.countAll<number>().as('count')])
    .where('state', '!=', 'verified')
    .groupBy('state')
    .execute();
  return rows.map(({ state, count }) => ({ state, count: Number(count) }));
}
