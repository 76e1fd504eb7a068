import type { LogHeadTable } from './schema-log.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** The size and the tree of the log, and the fence of its writers. */
export type LogHead = Readonly<Omit<LogHeadTable, 'id'>>;

/** What a quorum of witnesses has cosigned last. */
export type CosignedHead = Pick<LogHead, 'cosigned_size' | 'cosigned_ms'>;

const readStatement = statement<Record<never, never>, LogHeadTable>((db) =>
  db.selectFrom('log_head').selectAll(),
);
const writeStatement = statement<Omit<LogHead, 'installation' | 'fence' | keyof CosignedHead>>((db, p) =>
  db.updateTable('log_head').set({
    epoch: p('epoch'),
    size: p('size'),
    root: p('root'),
    frontier: p('frontier'),
    last_ms: p('last_ms'),
  }),
);

/** The head in the state that `db` sees. */
export async function readHead(db: Db): Promise<LogHead> {
  const row = (await readStatement(db, {})).rows[0];
  if (row === undefined) throw new Error('the log has no head');
  const { id: _, ...head } = row;
  return head;
}

/** Writes the epoch, the size and the tree of the log. This seals each batch before its commit. */
export async function writeHead(tx: Tx, head: LogHead): Promise<void> {
  const { epoch, size, root, frontier, last_ms } = head;
  await writeStatement(tx, { epoch, size, root, frontier, last_ms });
}

/** Notes what a quorum of witnesses has cosigned last, or that there is none in this epoch. */
export async function writeCosigned(tx: Tx, head: CosignedHead): Promise<void> {
  await tx.updateTable('log_head').set(head).execute();
}

/**
 * Ends every writer that has an earlier fence, at its next batch.
 *
 * @returns the new fence
 */
export async function raiseFence(db: Db): Promise<number> {
  const row = await db
    .updateTable('log_head')
    .set((e) => ({ fence: e('fence', '+', 1) }))
    .returning('fence')
    .executeTakeFirstOrThrow();
  return row.fence;
}
