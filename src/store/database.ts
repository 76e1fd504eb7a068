import type Sqlite from 'better-sqlite3';
import type { BrokerError } from '../errors.ts';
import { loadVersion } from '../version.ts';
import { acknowledgedPath, MARK_KEPT, MARK_REPLACED, markOf, openAcknowledged } from './acknowledged.ts';
import { batchOf, beginEpoch, clockFault, noteCosigned } from './batch.ts';
import { assertDurable, type Guard, kyselyOver, neverSleep, openConnection } from './connection.ts';
import { isAddress } from './database-address.ts';
import { sqliteTransactions } from './durable-transaction.ts';
import { watchFaults } from './fault-watch.ts';
import { assertUndamaged, checkInThread, isCheckedFirst } from './file-check.ts';
import { explainFileFault } from './file-faults.ts';
import { type ClaimedFile, claimFile } from './file-lock.ts';
import { lossOf } from './file-loss.ts';
import { migrateFile, missingMigrations } from './file-schema.ts';
import { createHeldReads } from './held-reads.ts';
import { setMeta } from './installation.ts';
import { raiseFence, readHead, writeHead } from './log-head.ts';
import { isLogFault, lacking, logAltered } from './log-refusals.ts';
import { growTree } from './log-tiles.ts';
import { assertNotMoved } from './moves.ts';
import { openPostgres } from './postgres/open.ts';
import { WRITTEN_BY } from './schema-version.ts';
import { readSigned, signedPath, writeSigned } from './signed-checkpoint.ts';
import { makeStandIn, removeAbandonedCopies, type Unwritable, unwritableAtStart } from './stand-in.ts';
import type { Tx } from './statement.ts';
import type { Loss, Store, StoreOptions } from './store.ts';
import { findSystemRefusal } from './system-refusal.ts';
import { copyFormerLog, takeLog } from './write-ahead-log.ts';
import {
  FileLost,
  isDamage,
  isDiskFault,
  noteSystemRefusal,
  storeDamaged,
  TakeoverError,
} from './write-faults.ts';
import { createWriter } from './writer.ts';

/*
 * The store: SQLite or PostgreSQL behind Kysely, one file of statements for each domain, the migrations, and the writer, the
 * only place where transactions begin and commit. No code outside this folder depends on the engine.
 */

/**
 * Opens the database. Creates its schema, and for SQLite its file, if it does not exist. Where a file can be read and not
 * written, because the disk is full, read-only or failing or the file is damaged, opens a private copy, which takes no writes.
 *
 * @throws Error if another process has the store open; if SQLite is too old, or does not keep `synchronous=FULL` after a
 *   first write: without it, a power failure can lose an acknowledged write
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  return isAddress(options.file) ? openPostgres(options) : openSqlite(options);
}

async function openSqlite(options: StoreOptions): Promise<Store> {
  let claim: ClaimedFile | null = null;
  removeAbandonedCopies();
  try {
    claim = claimFile(options.file);
    return await openFile(options, claim);
  } catch (error) {
    const path = claim?.path ?? options.file;
    const unwritable = unwritableAtStart(path, error);
    try {
      if (unwritable === null) throw error;
      return await openStandIn(options, { path, unwritable, claim });
    } catch (last) {
      claim?.release();
      throw explainFileFault(options.file, last);
    }
  }
}

/** Opens a private copy of a database that cannot be written. */
async function openStandIn(
  options: StoreOptions,
  { path, unwritable, claim }: { path: string; unwritable: Unwritable; claim: ClaimedFile | null },
): Promise<Store> {
  const copy = makeStandIn(path);
  const release = () => {
    copy.remove();
    claim?.release();
  };
  try {
    return await openFile(options, { path: copy.path, lost: () => null, release }, unwritable.refusal);
  } catch (error) {
    copy.remove();
    const cause = new AggregateError([unwritable.refusal.cause, error]);
    throw new Error(`${unwritable.says}. A copy of it could not be opened either.`, { cause });
  }
}

async function openFile(
  options: StoreOptions,
  claim: ClaimedFile,
  unwritable: BrokerError | null = null,
): Promise<Store> {
  const file = claim.path;
  let stop: (refusal: BrokerError) => void = () => undefined;
  const onDamage = (found: string, cause?: unknown) => stop(storeDamaged(found, cause));
  const guard: Guard = (error) => {
    if (isDamage(error)) onDamage((error as Error).message, error);
    if (isDiskFault(error)) noteSystemRefusal(error, findSystemRefusal(file));
  };
  const connection = openConnection(file, { readonly: false });
  try {
    const isChecked = isCheckedFirst(file);
    if (isChecked && unwritable === null) assertUndamaged(connection);
    const write = kyselyOver(connection, guard);
    copyFormerLog(connection);
    if ((await missingMigrations(connection)).length > 0) await migrateFile(connection, write);
    await assertNotMoved(write, options.file);
    await setMeta(write as Tx, WRITTEN_BY, loadVersion());
    assertDurable(connection);
    const reader = openConnection(file, { readonly: true });
    neverSleep(reader);
    const reads = createHeldReads(reader);
    const read = kyselyOver(reader, guard, reads);
    const loss = await lossOf(write, file);
    const isStopped = unwritable !== null || (loss !== null && options.acceptsLoss !== true);
    const acknowledged = isStopped ? null : openAcknowledged(acknowledgedPath(file));
    if (loss === null) {
      // Before the database says that there is one. A crash may also have lost the last mark.
      acknowledged?.put(await markOf(write, await readHead(write)));
      acknowledged?.sync();
      await setMeta(write as Tx, MARK_KEPT, '1');
    }
    const fence = await raiseFence(write);
    const wal = takeLog(connection, {
      wake: () => writer.wake(),
      report: options.onWalCheckpoint ?? (() => undefined),
      limits: options.walLimits,
    });
    /** Whether only the next start can tell what is on the disk. */
    let isUnknown = false;
    const writer = createWriter({
      db: write,
      clock: options.clock,
      fence,
      seal: async (tx, head) => {
        const lost = claim.lost();
        if (lost !== null) throw new FileLost(lost);
        await writeHead(tx, await growTree(tx, head));
        const mark = await markOf(tx, head, batchOf(tx).leaves.get(head.size));
        return () => acknowledged?.put(mark);
      },
      transactions: sqliteTransactions({ reads, sync: wal.sync }),
      beforeBatch: wal.beforeBatch,
      stopped: unwritable ?? (isStopped && loss !== null ? lacking(loss.detail) : null),
      onFailure: (error) => {
        isUnknown = !(error instanceof TakeoverError || isLogFault(error));
        options.onFailure?.(error);
      },
      onListenerFailure: options.onListenerFailure ?? (() => undefined),
    });
    stop = writer.stop;
    const isCheckDue = !isChecked && unwritable === null;
    const check =
      isCheckDue && options.log !== undefined ? checkInThread(file, { log: options.log, onDamage }) : null;
    const refusalNow = watchFaults({ writer, claim, clock: options.clock });
    let closing: Promise<void> | null = null;
    async function close(): Promise<void> {
      await check?.stop();
      await writer.close();
      await wal.rest();
      claim.release();
      // SQLite would copy the log and delete it, and take for written what a failed disk has lost.
      if (isUnknown) return;
      acknowledged?.close();
      // Kysely closes only a connection that it has used. The one that writes is the last: it copies the log and deletes it.
      await read.destroy();
      reader.close();
      await write.destroy();
      connection.close();
      wal.close();
    }
    return {
      archiveFolder: options.archiveFolder ?? null,
      writer,
      read,
      loss,
      writeRefusal: async () =>
        (await refusalNow()) ?? wal.refusal() ?? clockFault(await readHead(read), options.clock()),
      keepSigned: async (signed) => {
        if (unwritable === null) await writeSigned(signedPath(file), signed);
      },
      signed: () => readSigned(signedPath(file)),
      // Reads are held at the state that the disk has.
      settle: async () => undefined,
      stopLacking: (detail) => writer.stop(lacking(detail)),
      stopAltered: (detail) => writer.stop(logAltered(detail)),
      wal: wal.state,
      isScheduler: async () => true,
      follow: () => undefined,
      rewrite: async () => {
        await wal.rest();
        rewrite(connection);
      },
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Confirms that this database takes the place of the one that was acknowledged: begins a new epoch of the log. The record
 * of the decision MUST be appended in the same write.
 */
export async function replaceAcknowledged(tx: Tx, { mark, signed }: Loss): Promise<void> {
  // A copy may be restored twice: the second time, its log must not have the name of the first time.
  beginEpoch(tx, Math.max(mark?.epoch ?? 0, signed?.epoch ?? 0));
  // Its witnesses have cosigned nothing of the new epoch.
  await noteCosigned(tx, { cosigned_size: null, cosigned_ms: null });
  await setMeta(tx, MARK_KEPT, '1');
  if (mark !== null) await setMeta(tx, MARK_REPLACED, JSON.stringify(mark));
}

/** Rewrites the file and truncates the write-ahead log: both contain the former pages. */
function rewrite(writer: Sqlite.Database): void {
  try {
    writer.exec('vacuum');
    const [checkpoint] = writer.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (checkpoint?.busy !== 0) throw new Error('the write-ahead log is in use');
  } catch (error) {
    throw new Error(
      `could not rewrite the database file, which is required after its secrets were sealed again: ${(error as Error).message}. ` +
        'It needs free disk space of twice its size, and no other reader. Then start the broker again.',
      { cause: error },
    );
  }
}
