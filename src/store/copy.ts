import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { kyselyOver, openConnection } from './connection.ts';
import { countRows, keyOf, lastKey, type Row, type RowKey, readPage, type TableName } from './copy-rows.ts';
import { CopyDiffers, compareHeads, compareTable, type VerifiedTable, verifyLeaves } from './copy-verify.ts';
import { isAddress, shownDatabase } from './database-address.ts';
import { assertUndamaged } from './file-check.ts';
import { explainFileFault } from './file-faults.ts';
import { claimFile } from './file-lock.ts';
import { lossOf } from './file-loss.ts';
import { missingMigrations } from './file-schema.ts';
import { removeMeta, setMeta } from './installation.ts';
import { raiseFence, readHead } from './log-head.ts';
import { COPY_INCOMPLETE, COPY_OF, findMove, MOVED_TO, type Move } from './moves.ts';
import { openForCopy } from './postgres/open-for-copy.ts';
import type { Db, Tx } from './statement.ts';
import { TABLE_NAMES } from './tables.ts';

/*
 * Moves an installation from a file to an empty database on a server. Rows go over table by table, in the order of their keys,
 * so what is there is always the beginning of a table: whoever runs it again goes on after the last row. Before the first row,
 * both databases say that they belong to this move: the file takes no more writes, and the copy none before it is complete.
 */

/** What is copied where. */
export interface CopyOrder {
  /** The file. */
  from: string;
  /** The address of the server. */
  to: string;
  clock: Clock;
  /** Called after each page. What it throws ends the copy, which can be continued. */
  onProgress: (progress: CopyProgress) => void;
}

/** How far a copy has come. */
export interface CopyProgress {
  step: 'copy' | 'verify';
  table: string;
  /** The rows of this table that are done, and all of them. */
  done: number;
  total: number;
}

/** A complete copy. */
export interface CopyReport {
  from: string;
  to: string;
  installation: string;
  /** The log: its epoch, its records, and its root hash (base64). */
  epoch: number;
  size: number;
  root: string;
  /** The rows that this run has written; the others were there from an earlier one. */
  copied: number;
  tables: VerifiedTable[];
}

/** Why nothing is copied, or no further, in words for the operator. */
export class CopyRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CopyRefused';
  }
}

/** The two databases of a move. */
interface Databases {
  source: Db;
  target: Db;
}

/** The tables that are copied page by page. The head of the log comes last, with what makes the copy complete. */
const COPIED = TABLE_NAMES.filter((table) => table !== 'log_head');

/**
 * Copies an installation, or continues a copy, and compares every row.
 *
 * @throws CopyRefused, Error with what to do about it; the copy is not complete then, and no broker uses it
 */
export async function copyStore(order: CopyOrder): Promise<CopyReport> {
  const { from, to } = order;
  if (isAddress(from) || !isAddress(to))
    throw new CopyRefused('A copy goes from a file to a server: --from FILE --to postgres://user@host/name.');
  if (!existsSync(from)) throw new CopyRefused(`The database ${from} does not exist.`);
  const claim = claimFile(from);
  try {
    const connection = openConnection(claim.path, { readonly: false });
    try {
      assertUndamaged(connection);
      if ((await missingMigrations(connection)).length > 0)
        throw new CopyRefused(
          `The tables of ${from} are of an older version. Run "countersign migrate --database ${from}" first.`,
        );
      const source = kyselyOver(connection, () => undefined);
      const loss = await lossOf(source, claim.path);
      if (loss !== null)
        throw new CopyRefused(
          `${loss.detail} Accept it first with "countersign accept-restore", or put the newest copy back.`,
        );
      const target = await openForCopy(to);
      try {
        return await copyBetween({ source, target }, order);
      } finally {
        await target.destroy();
      }
    } finally {
      connection.close();
    }
  } catch (error) {
    throw explainFileFault(from, error);
  } finally {
    claim.release();
  }
}

async function copyBetween(databases: Databases, order: CopyOrder): Promise<CopyReport> {
  const { source, target } = databases;
  const { move, fence } = await begin(databases, order);
  let copied = 0;
  for (const table of COPIED) copied += await copyTable(databases, table, { fence, order });
  const tables: VerifiedTable[] = [];
  const head = await readHead(source);
  try {
    for (const table of COPIED) {
      const total = await countRows(source, table);
      tables.push(
        await compareTable(databases, table, (done) =>
          order.onProgress({ step: 'verify', table, done, total }),
        ),
      );
    }
    await verifyLeaves(target, head);
  } catch (error) {
    if (!(error instanceof CopyDiffers)) throw error;
    throw new CopyRefused(
      `${error.message} So the copy is not used. Drop that database, create it again, and copy once more.`,
      { cause: error },
    );
  }
  await complete(databases, { move, fence });
  await compareHeads(databases);
  const { installation, epoch, size, root } = head;
  return { from: move.from, to: move.to, installation, epoch, size, root, copied, tables };
}

/** Lets both databases say that they belong to the move, or finds that they do. */
async function begin(
  { source, target }: Databases,
  { from, to, clock }: CopyOrder,
): Promise<{ move: Move; fence: number }> {
  const shown = shownDatabase(to);
  const found = await findMove(source, MOVED_TO);
  if (found !== null && found.to !== shown)
    throw new CopyRefused(
      `${from} was copied to ${found.to} before. To copy it elsewhere, first run "countersign store reopen ${from}".`,
    );
  const move = found ?? { move: randomUUID(), from, to: shown, at_ms: clock() };
  const fence = await target.transaction().execute(async (tx) => {
    await lockHead(tx);
    await assertFor(tx, { source, move });
    // A broker that has it open ends now, and finds the copy incomplete.
    const raised = await raiseFence(tx);
    // First the file: two databases that could both be written must never be.
    await setMeta(source as Tx, MOVED_TO, JSON.stringify(move));
    await setMeta(tx as Db as Tx, COPY_INCOMPLETE, JSON.stringify(move));
    return raised;
  });
  return { move, fence };
}

/** Takes the lock under which brokers write, so that what an earlier run had sent is done, or never will be. */
async function lockHead(tx: Db): Promise<number> {
  const { rows } = await sql<{ fence: number }>`select fence from log_head for update`.execute(tx);
  return Number(rows[0]?.fence);
}

/** @throws CopyRefused if a database is neither empty nor the copy of this move */
async function assertFor(target: Db, { source, move }: { source: Db; move: Move }): Promise<void> {
  const complete = await findMove(target, COPY_OF);
  if (complete?.move === move.move) {
    // The run that made it so may have ended before the file knew.
    await noteComplete(source, move);
    throw new CopyRefused(`The copy in ${move.to} is complete. Start the broker with that database.`);
  }
  if (move.complete === true)
    throw new CopyRefused(
      `${move.from} was copied completely to ${move.to} before, and a broker may have written there since. If that copy is given up, first run "countersign store reopen ${move.from}".`,
    );
  const incomplete = await findMove(target, COPY_INCOMPLETE);
  if (incomplete?.move === move.move) return;
  const found = incomplete === null ? await findFilled(target) : null;
  if (incomplete === null && found === null) return;
  const what =
    incomplete === null
      ? `is not empty: its table ${found} has rows`
      : `has an incomplete copy of ${incomplete.from}, of another move`;
  throw new CopyRefused(`The database ${move.to} ${what}. Name an empty one. Nothing was changed.`);
}

/** Lets the file say that its copy was complete: another one would go on with the same log, beside it. */
async function noteComplete(source: Db, move: Move): Promise<void> {
  await setMeta(source as Tx, MOVED_TO, JSON.stringify({ ...move, complete: true } satisfies Move));
}

async function findFilled(db: Db): Promise<TableName | null> {
  for (const table of COPIED) if ((await countRows(db, table)) > 0) return table;
  return (await readHead(db)).size === 0 ? null : 'log_head';
}

/** @returns the rows that were written */
async function copyTable(
  { source, target }: Databases,
  table: TableName,
  { fence, order }: { fence: number; order: CopyOrder },
): Promise<number> {
  const total = await countRows(source, table);
  let after: RowKey | null = await lastKey(target, table);
  let done = await countRows(target, table);
  let copied = 0;
  for (;;) {
    const rows = await readPage(source, table, after);
    const last = rows.at(-1);
    if (last === undefined) return copied;
    try {
      await insertRows(target, table, { rows, fence });
    } catch (error) {
      if (error instanceof CopyRefused) throw error;
      throw new CopyRefused(
        `The table ${table} could not be copied beyond ${done} of ${total} rows: ${(error as Error).message}. Correct that, then run the same command: it goes on there.`,
        { cause: error },
      );
    }
    after = keyOf(table, last);
    copied += rows.length;
    done += rows.length;
    order.onProgress({ step: 'copy', table, done, total });
  }
}

async function insertRows(
  target: Db,
  table: TableName,
  { rows, fence }: { rows: readonly Row[]; fence: number },
): Promise<void> {
  await target.transaction().execute(async (tx) => {
    await assertOurs(tx, fence);
    await tx
      .insertInto(table as never)
      .values(rows as never)
      .execute();
  });
}

/** Takes the lock. @throws CopyRefused if the fence was raised since this process began */
async function assertOurs(tx: Db, fence: number): Promise<void> {
  if ((await lockHead(tx)) !== fence)
    throw new CopyRefused('Another process has taken over this copy. Let one of them run.');
}

/** Gives the copy its head, and lets brokers use it. The commit is durable, and with it everything before. */
async function complete(
  { source, target }: Databases,
  { move, fence }: { move: Move; fence: number },
): Promise<void> {
  const { fence: _, ...head } = await readHead(source);
  await target.transaction().execute(async (tx) => {
    await sql`set local synchronous_commit = on`.execute(tx);
    await assertOurs(tx, fence);
    await tx
      .updateTable('log_head')
      .set({ ...head, fence: fence + 1 })
      .execute();
    await removeMeta(tx as Db as Tx, COPY_INCOMPLETE);
    await setMeta(tx as Db as Tx, COPY_OF, JSON.stringify(move));
  });
  await noteComplete(source, move);
}

/**
 * Lets a broker use a file again that was copied.
 *
 * @returns where it was copied to
 * @throws CopyRefused if it was not copied
 */
export async function reopenFile(file: string): Promise<Move> {
  if (isAddress(file) || !existsSync(file))
    throw new CopyRefused(`The database file ${file} does not exist.`);
  const claim = claimFile(file);
  try {
    const connection = openConnection(claim.path, { readonly: false });
    try {
      await missingMigrations(connection);
      const db = kyselyOver(connection, () => undefined);
      const move = await findMove(db, MOVED_TO);
      if (move === null) throw new CopyRefused(`${file} was not copied, so a broker can use it.`);
      await removeMeta(db as Tx, MOVED_TO);
      return move;
    } finally {
      connection.close();
    }
  } catch (error) {
    throw explainFileFault(file, error);
  } finally {
    claim.release();
  }
}
