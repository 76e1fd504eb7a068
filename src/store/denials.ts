import type { DenialsTable } from './schema-log.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** The decision under which the denials of a caller count in a minute, or undefined. */
export async function findDenial(
  tx: Tx,
  { minute_ms, caller }: Pick<DenialsTable, 'minute_ms' | 'caller'>,
): Promise<string | undefined> {
  const { rows } = await findDenialStatement(tx, { minute_ms, caller });
  return rows[0]?.decision_id;
}

const findDenialStatement = statement<Pick<DenialsTable, 'minute_ms' | 'caller'>, { decision_id: string }>(
  (db, p) =>
    db
      .selectFrom('denials')
      .select('decision_id')
      .where('minute_ms', '=', p('minute_ms'))
      .where('caller', '=', p('caller')),
);

/** The number of callers whose denials count in a minute. */
export async function countDeniedCallers(tx: Tx, minuteMs: number): Promise<number> {
  const row = await tx
    .selectFrom('denials')
    .select((e) => e.fn.count<number>('caller').distinct().as('callers'))
    .where('minute_ms', '=', minuteMs)
    .executeTakeFirstOrThrow();
  return Number(row.callers);
}

/** Adds to the count of a caller's denials of one operation in a minute. */
export async function countDenial(tx: Tx, row: DenialsTable): Promise<void> {
  await countDenialStatement(tx, row);
}

const countDenialStatement = statement<DenialsTable>((db, p) =>
  db
    .insertInto('denials')
    .values({
      minute_ms: p('minute_ms'),
      caller: p('caller'),
      operation: p('operation'),
      decision_id: p('decision_id'),
      count: p('count'),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['minute_ms', 'caller', 'operation'])
        .doUpdateSet((e) => ({ count: e('denials.count', '+', e.ref('excluded.count')) })),
    ),
);

/** The minutes that have counts, except the present one, in their order. */
export async function listDeniedMinutes(db: Db, presentMs: number): Promise<number[]> {
  const rows = await db
    .selectFrom('denials')
    .select('minute_ms')
    .distinct()
    .where('minute_ms', '!=', presentMs)
    .orderBy('minute_ms')
    .execute();
  return rows.map(({ minute_ms }) => minute_ms);
}

/** Takes the counts of a minute out of the table, in a stable order. */
export async function takeDenials(tx: Tx, minuteMs: number): Promise<DenialsTable[]> {
  const rows = await tx
    .selectFrom('denials')
    .selectAll()
    .where('minute_ms', '=', minuteMs)
    .orderBy('decision_id')
    .orderBy('operation')
    .execute();
  await tx.deleteFrom('denials').where('minute_ms', '=', minuteMs).execute();
  return rows;
}
