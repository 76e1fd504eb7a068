import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { type Batch, openBatch } from './batch.ts';
import { type LogHead, readHead } from './log-head.ts';
import { RunAgain } from './run-again.ts';
import { type Db, fixedStatement, runLike, type Tx } from './statement.ts';

/**
 * The writer: the one place where transactions begin and commit.
 *
 * Writes that arrive while one transaction commits share the next (group commit): each runs in its own savepoint, one
 * after the other, and sees what those before it did. An answer leaves only after the commit, so nothing is
 * acknowledged that a power cut could take back, and a durable commit costs the same for one write as for thirty.
 *
 * Each batch begins with the head of the log: it says whether this writer may still write, gives each record its place
 * and each write its moment, and is sealed before the commit.
 */
export interface Writer {
  /**
   * Runs `work` inside the writing transaction and resolves with its result once that is durable.
   *
   * When `work` throws, everything it wrote is undone and the error is passed on; its neighbours are not touched.
   * `work` MUST await nothing but the store: the transaction is open. Until its batch commits it may run several times
   * ({@link RunAgain}), so it changes nothing outside of the transaction but by `afterCommit`. What it gives to that runs
   * once its write is durable, before its answer leaves, and not at all otherwise.
   *
   * @throws BrokerError `not_recorded` when the commit or a statement of `work` failed: nothing was written
   * @throws BrokerError `shutting_down` after {@link Writer.close}
   * @throws BrokerError `clock_behind` when `work` asks for its moment and the clock is too far behind the last record
   */
  write<T>(work: (tx: Tx, afterCommit: AfterCommit) => Promise<T>): Promise<T>;
  /** Finishes what was begun and takes nothing new. */
  close(): Promise<void>;
}

/**
 * Takes what has to happen once a write is durable. The write stands, and is answered, whatever becomes of it: what a
 * listener throws is reported, and its neighbours are called all the same.
 */
export type AfterCommit = (listener: () => void) => void;

/** So that one batch never holds back its first answer for long. */
const MAX_BATCH = 50;
/** How often a batch is run at most: a second time for one activation that is new here, and a few times for more of them. */
const MAX_RUNS = 4;

interface Job {
  work: (tx: Tx, afterCommit: AfterCommit) => Promise<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

type JobResult = { job: Job } & ({ value: unknown; listeners: (() => void)[] } | { error: unknown });

/** One run of a batch. */
interface Run {
  tx: Tx;
  batch: Batch;
  /** What a write is refused with that needs something which cannot be had; undefined while it may be had. */
  refusalOf: (missing: RunAgain) => { error: unknown } | undefined;
}

const begin = fixedStatement('begin immediate');
const commit = fixedStatement('commit');
const rollback = fixedStatement('rollback');
const savepoint = fixedStatement('savepoint one_write');
const releaseSavepoint = fixedStatement('release savepoint one_write');
const rollbackToSavepoint = fixedStatement('rollback to savepoint one_write');

/** Another process has taken the writer over: nothing that this one holds in memory counts any more. */
class TakeoverError extends Error {
  constructor() {
    super('another broker has taken this store over, so this one writes no more');
    this.name = 'TakeoverError';
  }
}

/** What a writer is made of. */
export interface WriterDeps {
  /** The writing connection. */
  db: Db;
  clock: Clock;
  /** The fence that was raised when this process took the writer over. */
  fence: number;
  /** Writes the head at the end of each batch that appended something, before its commit. */
  seal: (tx: Tx, head: LogHead) => Promise<void>;
  /** Hears of a commit whose outcome is unknown, and of a takeover by another process. */
  onFailure: (error: unknown) => void;
  /** Hears of what a listener after a commit threw, or its promise was rejected with. */
  onListenerFailure: (error: unknown) => void;
}

/** Creates the writer over the writing connection. */
export function createWriter(deps: WriterDeps): Writer {
  const queue: Job[] = [];
  const pseudonyms = new Map<string, string>();
  let running: Promise<void> | null = null;
  let closed: BrokerError | null = null;
  /** Set when this process must write no more: nobody knows the outcome of a commit, or another one writes now. */
  let failed: BrokerError | null = null;

  async function runJob(job: Job, { tx, batch, refusalOf }: Run): Promise<JobResult> {
    const { head } = batch;
    await savepoint(tx);
    try {
      const listeners: (() => void)[] = [];
      batch.afterCommit = (listener) => listeners.push(listener);
      const value = await job.work(tx, batch.afterCommit);
      await releaseSavepoint(tx);
      return { job, value, listeners };
    } catch (error) {
      const refusal = error instanceof RunAgain ? refusalOf(error) : { error };
      if (refusal === undefined || isStorageFault(error)) throw error;
      await rollbackToSavepoint(tx);
      await releaseSavepoint(tx);
      // Its places are free again.
      batch.head = head;
      return { job, error: isStoreError(refusal.error) ? notRecorded(refusal.error) : refusal.error };
    }
  }

  async function runTransaction(
    connection: Db,
    jobs: Job[],
    refusalOf: Run['refusalOf'],
  ): Promise<JobResult[]> {
    const tx = connection as Tx;
    runLike(tx, deps.db);
    await begin(connection);
    try {
      const head = await readHead(tx);
      if (head.fence !== deps.fence) throw new TakeoverError();
      const batch: Batch = { head, clock: deps.clock, pseudonyms, afterCommit: () => undefined };
      openBatch(tx, batch);
      const results: JobResult[] = [];
      for (const job of jobs) results.push(await runJob(job, { tx, batch, refusalOf }));
      if (batch.head.size !== head.size) await deps.seal(tx, batch.head);
      await commit(connection);
      return results;
    } catch (error) {
      // SQLite may have rolled back by itself; what counts is the first error.
      await rollback(connection).catch(() => undefined);
      throw error;
    }
  }

  /** Runs a batch, and again after each preparation that one of its writes asks for: see {@link RunAgain}. */
  async function runPrepared(batch: Job[]): Promise<JobResult[]> {
    const run = (refusalOf: Run['refusalOf']) =>
      deps.db.connection().execute((connection) => runTransaction(connection, batch, refusalOf));
    // Whoever needs what cannot be had fails alone; its neighbours do not.
    const faults = new Map<string, { error: unknown }>();
    for (let runs = 1; runs < MAX_RUNS; runs += 1) {
      try {
        return await run(({ what }) => faults.get(what));
      } catch (error) {
        if (!(error instanceof RunAgain)) throw error;
        await error.prepare().catch((fault: unknown) => faults.set(error.what, { error: fault }));
      }
    }
    const unprepared = { error: notRecorded(new Error(`a batch was not prepared after ${MAX_RUNS} runs`)) };
    return run(({ what }) => faults.get(what) ?? unprepared);
  }

  async function runBatch(batch: Job[]): Promise<void> {
    let results: JobResult[];
    try {
      results = await runPrepared(batch);
    } catch (error) {
      refuse(batch, error);
      return;
    }
    for (const result of results) {
      if ('error' in result) {
        result.job.reject(result.error);
        continue;
      }
      for (const listener of result.listeners) callListener(listener);
      result.job.resolve(result.value as never);
    }
  }

  /** What it is about is durable: a fault in telling others of it neither takes that back nor stops the queue. */
  function callListener(listener: () => unknown): void {
    try {
      const answer = listener();
      // A function that returns a promise passes for one that returns nothing.
      if (answer instanceof Promise) answer.catch(deps.onListenerFailure);
    } catch (error) {
      deps.onListenerFailure(error);
    }
  }

  function refuse(batch: Job[], error: unknown): void {
    const refusal = notRecorded(error);
    for (const job of batch) job.reject(refusal);
    if (isOutcomeUnknown(error) || error instanceof TakeoverError) {
      failed = refusal;
      deps.onFailure(error);
    }
  }

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      // One turn of the event loop: requests whose bytes have arrived meanwhile join this batch.
      await new Promise((resolve) => setImmediate(resolve));
      const batch = queue.splice(0, MAX_BATCH);
      if (failed === null) await runBatch(batch);
      else for (const job of batch) job.reject(failed);
    }
    running = null;
  }

  return {
    write: (work) =>
      new Promise((resolve, reject) => {
        const refusal = failed ?? closed;
        if (refusal !== null) {
          reject(refusal);
          return;
        }
        queue.push({ work, resolve, reject });
        running ??= drain();
      }),
    close: async () => {
      closed ??= new BrokerError('shutting_down', 'The broker is stopping; try again in a moment.', {
        headers: { 'Retry-After': '5' },
      });
      while (running !== null) await running;
    },
  };
}

function notRecorded(cause: unknown): BrokerError {
  return new BrokerError(
    'not_recorded',
    'The store could not make the decision durable. Nothing was written; try again later.',
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

/** The store itself refused what the work wanted to write, so its decision has no record. */
function isStoreError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_');
}

/** The disk is full or failing: no write of this batch can be promised. */
function isStorageFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|READONLY|CANTOPEN)/.test(code);
}

/** An I/O error at commit may have left the transaction on disk or not; only a restart can tell. */
function isOutcomeUnknown(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_IOERR');
}
