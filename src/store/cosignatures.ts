import { noteCosigned } from './batch.ts';
import type { CosignaturesTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** A cosignature of a checkpoint. */
export type CosignatureRow = CosignaturesTable;

/** The kept cosignatures of a log, oldest size first. */
export function listCosignatures(db: Db, origin: string): Promise<CosignatureRow[]> {
  return db
    .selectFrom('cosignatures')
    .selectAll()
    .where('origin', '=', origin)
    .orderBy('size')
    .orderBy('witness')
    .execute();
}

/**
 * Keeps a cosignature, notes in the head of the log what a quorum has cosigned, and drops what is older than the last checkpoint that a quorum has cosigned. An older cosignature of the same
 * checkpoint takes the place of none.
 */
export async function keepCosignature(tx: Tx, row: CosignatureRow, quorum: number): Promise<void> {
  const rows = await listCosignatures(tx, row.origin);
  const present = rows.find(({ witness, size }) => witness === row.witness && size === row.size);
  if (present !== undefined && present.root === row.root && present.at_ms >= row.at_ms) return;
  const others = rows.filter((other) => other !== present);
  await tx
    .deleteFrom('cosignatures')
    .where('witness', '=', row.witness)
    .where('origin', '=', row.origin)
    .where('size', '=', row.size)
    .execute();
  await tx.insertInto('cosignatures').values(row).execute();
  const best = bestCosigned([...others, row], quorum);
  if (best === null) return;
  await noteCosigned(tx, { cosigned_size: best.size, cosigned_ms: best.at_ms });
  await tx
    .deleteFrom('cosignatures')
    .where('origin', '=', row.origin)
    .where('size', '<', best.size)
    .execute();
  await tx.deleteFrom('cosignatures').where('origin', '!=', row.origin).execute();
}

/**
 * The largest checkpoint that so many witnesses have cosigned.
 *
 * @returns its cosignatures, and the time when the quorum was complete; null if there is none
 */
export function bestCosigned(
  rows: readonly CosignatureRow[],
  quorum: number,
): { size: number; at_ms: number; rows: CosignatureRow[] } | null {
  const groups = Map.groupBy(rows, ({ size, root }) => `${size} ${root}`);
  const complete = [...groups.values()].filter((group) => group.length >= Math.max(1, quorum));
  const [best] = complete.toSorted((a, b) => (b[0]?.size ?? 0) - (a[0]?.size ?? 0));
  if (best === undefined) return null;
  const times = best.map(({ at_ms }) => at_ms).toSorted((a, b) => b - a);
  return { size: best[0]?.size ?? 0, at_ms: times[Math.max(1, quorum) - 1] ?? 0, rows: best };
}
