import { setTimeout } from 'node:timers/promises';
import { startOf, startQuery } from './batch-start.ts';
import type { HeldReads } from './held-reads.ts';
import { type Db, fixedStatement, runQuery } from './statement.ts';
import type { Transactions } from './transactions.ts';
import { databaseLocked, isBusy, isDiskFault, UnknownOutcome } from './write-faults.ts';

/*
 * The transactions of the writer on SQLite. Their beginning and their end may take long, and the thread goes on meanwhile.
 */

/** How long the writer waits for another program to end its transaction. */
const LOCK_WAIT_MS = 5000;
/** The longest pause between two tries. */
const LOCK_PAUSE_MS = 50;

const begin = fixedStatement('begin immediate');
const commit = fixedStatement('commit');

/** What makes commits durable. */
export interface Durability {
  /** The reads of everybody but the writer. */
  reads: HeldReads;
  /** Makes everything that is committed durable, on another thread. */
  sync: () => Promise<void>;
}

const rollback = fixedStatement('rollback');

/** The transactions of a writer on SQLite. */
export function sqliteTransactions(durability: Durability): Transactions {
  return {
    begin: async (connection) => {
      await beginWhenFree(connection);
      return startOf((await runQuery(connection, startQuery(connection)))[0]);
    },
    commit: (connection) => commitDurably(connection, durability),
    rollback,
  };
}

/**
 * Begins a transaction once no other program has one.
 *
 * @throws BrokerError `database_in_use` if another program does not end its own
 */
async function beginWhenFree(connection: Db): Promise<void> {
  const startedMs = performance.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, LOCK_PAUSE_MS)) {
    try {
      await begin(connection);
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() - startedMs > LOCK_WAIT_MS) throw databaseLocked(error);
    }
    await setTimeout(pauseMs);
  }
}

/**
 * Commits, and resolves once the disk has it. Until then, and for good if that is never known, reads see the state before.
 *
 * @throws UnknownOutcome if the disk failed
 */
async function commitDurably(connection: Db, { reads, sync }: Durability): Promise<void> {
  reads.hold();
  try {
    await commit(connection);
  } catch (error) {
    if (isDiskFault(error)) throw new UnknownOutcome(error);
    reads.release();
    throw error;
  }
  await sync().catch((error: unknown) => {
    throw new UnknownOutcome(error);
  });
  reads.release();
}
