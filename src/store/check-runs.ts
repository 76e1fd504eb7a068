import type { Db, Tx } from './statement.ts';

/*
 * What brokers tell each other of the checks that somebody runs without proposing. It is an answer that its caller asks for again,
 * so it is among those that are kept for retries, and goes with them.
 */

/** What is told of one run. */
export interface ToldRun {
  /** The person or workload who started it. */
  caller: string;
  id: string;
  body: string;
  told_ms: number;
}

/** No principal has such an id, so no key of a retry is that of a run. */
function keyOf({ caller, id }: Pick<ToldRun, 'caller' | 'id'>) {
  return { principal_id: `checks of ${caller}`, key: id };
}

/** Tells the others of a run, in place of what was told before. */
export async function tellRun(tx: Tx, { body, told_ms, ...run }: ToldRun): Promise<void> {
  const told = { body, created_ms: told_ms };
  await tx
    .insertInto('idempotency_keys')
    .values({ ...keyOf(run), ...told, fingerprint: '', status: 0 })
    .onConflict((conflict) => conflict.columns(['principal_id', 'key']).doUpdateSet(told))
    .execute();
}

/** What was told of a run of this caller last, or null. */
export async function findToldRun(
  db: Db,
  run: Pick<ToldRun, 'caller' | 'id'>,
): Promise<Pick<ToldRun, 'body' | 'told_ms'> | null> {
  const { principal_id, key } = keyOf(run);
  const row = await db
    .selectFrom('idempotency_keys')
    .select(['body', 'created_ms as told_ms'])
    .where('principal_id', '=', principal_id)
    .where('key', '=', key)
    .executeTakeFirst();
  return row ?? null;
}
