import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Within, WriteTrace } from '../tracing.ts';
import { type Batch, openBatch } from './batch.ts';
import { knowStart } from './batch-start.ts';
import type { LogHead } from './log-head.ts';
import type { Preparable } from './preparations.ts';
import { RunAgain } from './run-again.ts';
import {
  answered,
  beginWrite,
  type Db,
  endBatch,
  fixedStatement,
  insertDeferred,
  runLike,
  type Tx,
} from './statement.ts';
import type { Transactions } from './transactions.ts';
import { isStorageFault, isStoreError, notRecorded, TakeoverError, UnknownOutcome } from './write-faults.ts';

/*
 * The transaction of one batch: it begins with the head of the log, each write runs in a savepoint of its own, and the head is
 * sealed before the commit. What becomes of the writes after it is the writer's.
 */

/**
 * Registers a listener that runs after the commit. The write is durable and answered even if the listener fails: its error
 * is reported, and the other listeners still run.
 */
export type AfterCommit = (listener: () => void) => void;

/**
 * Notes outside the database how far the log has come. Called after the commit, before any answer of the batch leaves.
 * If it throws, it is called again before the next batch.
 */
export type Acknowledge = () => void;

/** A write, and who waits for its answer. */
export interface Job extends Preparable {
  work: (tx: Tx, afterCommit: AfterCommit) => Promise<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  /** Runs what is done for it. */
  within: Within;
  /** Its steps; null if nobody traces the call that it belongs to. */
  trace: WriteTrace | null;
}

/** What became of a write: its result, its error, or that it has to be prepared first. */
export type JobResult = { job: Job } & (
  | { value: unknown; listeners: (() => void)[] }
  | { error: unknown }
  | { missing: RunAgain }
);

/** What became of the writes of a batch, if it is committed; and why that is unknown, or null. */
export interface BatchResult {
  results: JobResult[];
  unknown: UnknownOutcome | null;
  /** The end of the log after it. */
  head: LogHead;
  /** To be called once it is committed. */
  acknowledge: Acknowledge | null;
}

const savepoint = fixedStatement('savepoint one_write');
const releaseSavepoint = fixedStatement('release savepoint one_write');
const rollbackToSavepoint = fixedStatement('rollback to savepoint one_write');

/**
 * How long the writes of a batch may keep the thread. Then everybody else has a turn: reads are answered, and one of the
 * connections that wait is accepted, because the event loop accepts one a turn.
 */
const LONGEST_TURN_MS = 2;

/** The dependencies of these transactions. */
export interface BatchTransactionDeps {
  transactions: Transactions;
  /** The writing connection. */
  db: Db;
  clock: Clock;
  /** The fence when this process opened the store. Once it is raised, nothing that is remembered here holds any more. */
  fence: number;
  /** Writes the head at the end of each batch that appended something, before its commit. */
  seal: (tx: Tx, head: LogHead) => Promise<Acknowledge>;
}

/** The database refuses what nobody of the batch has waited for. Whose it is, is found by writing each alone. */
export class RefusedAtEnd extends Error {}

/** What a batch is refused with if that may have been the fault of any of its writes. */
function refusalOfAny(error: unknown, jobs: readonly Job[]): unknown {
  return jobs.length === 1 || isStorageFault(error) ? error : new RefusedAtEnd();
}

/** The transactions of one writer. */
export interface BatchTransactions {
  /**
   * Runs the writes of a batch, and commits.
   *
   * @throws RefusedAtEnd if the database refuses what any of several writes has not waited for
   */
  run(connection: Db, jobs: readonly Job[]): Promise<BatchResult>;
  /** The last batch was committed, so the log ends there unless somebody else writes. */
  knowEnd(head: LogHead): void;
}

/** Creates the transactions of one writer. */
export function createBatchTransactions(deps: BatchTransactionDeps): BatchTransactions {
  const { transactions } = deps;
  const pseudonyms = new Map<string, string>();
  /** Where the log ended after the last batch of this writer; null if that is not known. */
  let endedAt: Pick<LogHead, 'epoch' | 'size'> | null = null;

  async function runJob(job: Job, tx: Tx, batch: Batch): Promise<JobResult> {
    const { head } = batch;
    const undo = beginWrite(tx);
    try {
      const listeners: (() => void)[] = [];
      batch.afterCommit = (listener) => listeners.push(listener);
      const { within } = job.trace ?? job;
      const value = await within(() => job.work(tx, batch.afterCommit));
      await releaseSavepoint(tx);
      return { job, value, listeners };
    } catch (error) {
      if (isStorageFault(error)) throw error;
      await rollbackToSavepoint(tx);
      await releaseSavepoint(tx);
      // Its places are free again, and its rows are forgotten.
      batch.head = head;
      undo();
      if (error instanceof RunAgain) return { job, missing: error };
      return { job, error: isStoreError(error) ? notRecorded(error) : error };
    }
  }

  /** @throws RefusedAtEnd if the fault of a write before it arrives now */
  async function beginJob(tx: Tx, jobs: readonly Job[]): Promise<void> {
    try {
      await savepoint(tx);
    } catch (error) {
      throw refusalOfAny(error, jobs);
    }
  }

  async function run(connection: Db, jobs: readonly Job[]): Promise<BatchResult> {
    const tx = connection as Tx;
    await runLike(tx, deps.db);
    try {
      const start = await transactions.begin(connection);
      const { head } = start;
      if (head.fence !== deps.fence) throw new TakeoverError();
      // Another broker may have erased some of them, which leaves a record.
      if (endedAt?.size !== head.size || endedAt.epoch !== head.epoch) pseudonyms.clear();
      endedAt = null;
      const leaves = new Map<number, Buffer>();
      const { clock } = deps;
      const batch: Batch = { head, from: head, leaves, clock, pseudonyms, afterCommit: () => undefined };
      openBatch(tx, batch);
      knowStart(tx, start);
      const results: JobResult[] = [];
      let turnMs = performance.now();
      for (const job of jobs) {
        if (performance.now() - turnMs > LONGEST_TURN_MS) {
          await setImmediate();
          turnMs = performance.now();
        }
        job.trace?.next('write');
        await beginJob(tx, jobs);
        const result = await runJob(job, tx, batch);
        job.trace?.next('missing' in result ? 'wait' : 'commit');
        results.push(result);
      }
      const acknowledge = await end(tx, batch, jobs);
      const unknown = await commit(connection);
      return { results, unknown, head: batch.head, acknowledge };
    } catch (error) {
      // The database may already have rolled back; report the first error.
      await transactions.rollback(connection).catch(() => undefined);
      throw error;
    } finally {
      endBatch(tx);
    }
  }

  /**
   * Inserts what waits for the end of the batch, and seals the log.
   *
   * @throws RefusedAtEnd if the rows of any of several writes are refused
   */
  async function end(tx: Tx, { head, from }: Batch, jobs: readonly Job[]): Promise<Acknowledge | null> {
    try {
      insertDeferred(tx);
      const acknowledge = head.size === from.size ? null : await deps.seal(tx, head);
      await answered(tx);
      return acknowledge;
    } catch (error) {
      throw refusalOfAny(error, jobs);
    }
  }

  /** @returns why the outcome is unknown, if it can be found out */
  async function commit(connection: Db): Promise<UnknownOutcome | null> {
    try {
      await transactions.commit(connection);
      return null;
    } catch (error) {
      if (error instanceof UnknownOutcome && transactions.findOutcome !== undefined) return error;
      throw error;
    }
  }

  return {
    run,
    knowEnd: (head) => {
      endedAt = head;
    },
  };
}
