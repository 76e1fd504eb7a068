import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { BrokerError } from '../../errors.ts';
import { loadVersion } from '../../version.ts';
import { batchOf, clockFault } from '../batch.ts';
import { shownDatabase } from '../database-address.ts';
import { watchFaults } from '../fault-watch.ts';
import { setMeta } from '../installation.ts';
import { openLease } from '../lease.ts';
import { type LogHead, readHead, writeHead } from '../log-head.ts';
import { lacking, logAltered } from '../log-refusals.ts';
import { growTree } from '../log-tiles.ts';
import { assertNotMoved } from '../moves.ts';
import { WRITTEN_BY } from '../schema-version.ts';
import { rootAt } from '../signed-checkpoint.ts';
import type { Tx } from '../statement.ts';
import type { Store, StoreOptions } from '../store.ts';
import { HeadLost, notRecorded, storeUnreachable, TakeoverError } from '../write-faults.ts';
import { createWriter } from '../writer.ts';
import { kyselyOver, openPool, readsOver } from './connection.ts';
import { PostgresFault } from './faults.ts';
import { type Others, watchOthers } from './others.ts';
import { unusable } from './remedies.ts';
import { rewriteSecrets } from './rewrite.ts';
import { prepareSchema } from './schema-changes.ts';
import { postgresTransactions, takeOver } from './transactions.ts';
import { assertUsable } from './usable.ts';
import { forgetWriter, noteWriter } from './writers.ts';

/** One writes, and one asks what became of a batch whose connection was lost. */
const WRITING_CONNECTIONS = 2;
const READING_CONNECTIONS = 8;

/**
 * Opens a database on a PostgreSQL server, and creates its schema if there is none. Any number of brokers may write: the lock
 * on the log's head lets one batch follow the other. An act of an operator raises the fence, which ends all that were open before.
 *
 * @throws Error if the server cannot be reached, is a standby, too old, or not durable; if the schema is of a newer broker
 */
export async function openPostgres(options: StoreOptions): Promise<Store> {
  const pools = [
    openPool(options.file, { max: WRITING_CONNECTIONS }),
    openPool(options.file, { max: READING_CONNECTIONS }),
  ] as const;
  try {
    return await openOver(pools, options);
  } catch (error) {
    await Promise.allSettled(pools.map((pool) => pool.end()));
    throw error instanceof PostgresFault ? unusable(shownDatabase(options.file), error) : error;
  }
}

async function openOver([writing, reading]: readonly [Pool, Pool], options: StoreOptions): Promise<Store> {
  const { clock } = options;
  const write = kyselyOver(writing);
  const read = readsOver(reading);
  await assertUsable(write);
  await prepareSchema(write, options.file);
  const shown = shownDatabase(options.file);
  // First the fence: a copy that begins after it was read raises it, which ends this broker.
  let { fence } = await readHead(write);
  await assertNotMoved(write, shown);
  if (options.exclusive === true) {
    fence = await takeOver(write);
    await assertNotMoved(write, shown);
  }
  await setMeta(write as Tx, WRITTEN_BY, loadVersion());
  const id = randomUUID();
  /** Where the log ended when the last commit of this writer that added to it had succeeded. */
  let settled: SettledHead | null = null;
  await noteWriter(write, id, clock);
  const writer = createWriter({
    db: write,
    transactions: postgresTransactions(write, id),
    clock,
    fence,
    seal: async (tx, head) => {
      const grown = await growTree(tx, head);
      await writeHead(tx, grown);
      return () => {
        settled = grown;
      };
    },
    onFailure: options.onFailure ?? (() => undefined),
    onListenerFailure: options.onListenerFailure ?? (() => undefined),
  });
  const refusalNow = watchFaults({ writer, clock });
  const lease = openLease({ writer, read });
  let others: Others | null = null;
  let closing: Promise<void> | null = null;

  async function writeRefusal() {
    const refusal = await refusalNow();
    if (refusal !== null) return refusal;
    try {
      const head = await readHead(read);
      // Nobody may write here for a while, and what is remembered here is no longer true.
      if (head.fence !== fence) writer.stop(notRecorded(new TakeoverError()));
      return writer.refusal() ?? clockFault(head, clock());
    } catch (error) {
      return error instanceof BrokerError ? error : notRecorded(error);
    }
  }

  async function settle(head: SettledHead): Promise<void> {
    const { epoch, size, root } = head;
    if (settled?.epoch === epoch && settled.size === size && settled.root === root) return;
    try {
      // Each commit of the writer changes a row, and waits for the standby.
      await writer.write(async (tx) => {
        if (!(await isOf(tx, head))) throw storeUnreachable(new HeadLost());
      });
      settled = head;
    } catch (error) {
      const { code } = error as BrokerError;
      throw code === 'outcome_unknown' || code === 'not_recorded' ? storeUnreachable(error) : error;
    }
  }

  async function close(): Promise<void> {
    await others?.stop();
    // Where this fails, it ends by itself.
    await lease.release().catch(() => undefined);
    await writer.close();
    // Where this fails, it is removed later.
    await forgetWriter(write, id).catch(() => undefined);
    await read.destroy();
    await write.destroy();
  }

  return {
    archiveFolder: options.archiveFolder ?? null,
    writer,
    read,
    loss: null,
    keepSigned: async () => undefined,
    signed: () => null,
    settle,
    stopLacking: (detail) => writer.stop(lacking(detail)),
    stopAltered: (detail) => writer.stop(logAltered(detail)),
    writeRefusal,
    wal: () => null,
    isScheduler: lease.holds,
    follow: (look, onFault) => {
      others = watchOthers({ address: options.file, writer: id, read, look, onFault });
    },
    rewrite: () => rewriteSecrets(write),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** The end of a log, with all that is before it. */
type SettledHead = Pick<LogHead, 'epoch' | 'size' | 'root'>;

/** Whether the log that a write continues goes through that head, which another server may have shown that no longer writes. */
async function isOf(tx: Tx, { epoch, size, root }: SettledHead): Promise<boolean> {
  const { from } = batchOf(tx);
  if (from.epoch !== epoch || from.size < size) return false;
  return (from.size === size ? from.root : (await rootAt(tx, size)).toString('base64')) === root;
}
