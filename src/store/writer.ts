import { BrokerError } from '../errors.ts';
import { RunAgain } from './run-again.ts';
import { type Db, fixedStatement, type Tx } from './statement.ts';

/**
 * The writer: the one place where transactions begin and commit.
 *
 * Writes that arrive while one transaction commits share the next (group commit): each runs in its own savepoint, one
 * after the other, and sees what those before it did. An answer leaves only after the commit, so nothing is
 * acknowledged that a power cut could take back, and a durable commit costs the same for one write as for thirty.
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
   */
  write<T>(work: (tx: Tx, afterCommit: AfterCommit) => Promise<T>): Promise<T>;
  /** Finishes what was begun and takes nothing new. */
  close(): Promise<void>;
}

/** Takes what has to happen once a write is durable. It MUST NOT throw. */
export type AfterCommit = (listener: () => void) => void;

/** So that one batch never holds back its first answer for long. */
const MAX_BATCH = 64;
/** How often a batch is run at most: a second time for one activation that is new here, and a few times for more of them. */
const MAX_RUNS = 4;

interface Job {
  work: (tx: Tx, afterCommit: AfterCommit) => Promise<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

type JobResult = { job: Job } & ({ value: unknown; listeners: (() => void)[] } | { error: unknown });

const begin = fixedStatement('begin immediate');
const commit = fixedStatement('commit');
const rollback = fixedStatement('rollback');
const savepoint = fixedStatement('savepoint one_write');
const releaseSavepoint = fixedStatement('release savepoint one_write');
const rollbackToSavepoint = fixedStatement('rollback to savepoint one_write');

/** Creates the writer over the writing connection. `onFailure` hears of a commit whose outcome is unknown. */
export function createWriter(deps: { db: Db; onFailure: (error: unknown) => void }): Writer {
  const queue: Job[] = [];
  let running: Promise<void> | null = null;
  let closed: BrokerError | null = null;
  /** Set when a commit's outcome is unknown: what waits must not be written on a state that nobody knows. */
  let failed: BrokerError | null = null;

  /** @param last null while the batch may be run again; else what a write is refused with that asks for it */
  async function runJob(tx: Tx, job: Job, last: { refusal: unknown } | null): Promise<JobResult> {
    await savepoint(tx);
    try {
      const listeners: (() => void)[] = [];
      const value = await job.work(tx, (listener) => listeners.push(listener));
      await releaseSavepoint(tx);
      return { job, value, listeners };
    } catch (error) {
      const asksAgain = error instanceof RunAgain;
      if (isStorageFault(error) || (asksAgain && last === null)) throw error;
      await rollbackToSavepoint(tx);
      await releaseSavepoint(tx);
      if (asksAgain) return { job, error: last?.refusal };
      return { job, error: isStoreError(error) ? notRecorded(error) : error };
    }
  }

  async function runTransaction(
    connection: Db,
    batch: Job[],
    last: { refusal: unknown } | null,
  ): Promise<JobResult[]> {
    await begin(connection);
    try {
      const outcomes: JobResult[] = [];
      for (const job of batch) outcomes.push(await runJob(connection as Tx, job, last));
      await commit(connection);
      return outcomes;
    } catch (error) {
      // SQLite may have rolled back by itself; what counts is the first error.
      await rollback(connection).catch(() => undefined);
      throw error;
    }
  }

  /** Runs a batch, and again after each preparation that one of its writes asks for: see {@link RunAgain}. */
  async function runPrepared(batch: Job[]): Promise<JobResult[]> {
    const run = (last: { refusal: unknown } | null) =>
      deps.db.connection().execute((connection) => runTransaction(connection, batch, last));
    for (let runs = 1; runs < MAX_RUNS; runs += 1) {
      try {
        return await run(null);
      } catch (error) {
        if (!(error instanceof RunAgain)) throw error;
        try {
          await error.prepare();
        } catch (fault) {
          // Whoever needs it fails alone; its neighbours do not.
          return run({ refusal: fault });
        }
      }
    }
    return run({ refusal: notRecorded(new Error(`a batch was not prepared after ${MAX_RUNS} runs`)) });
  }

  async function runBatch(batch: Job[]): Promise<void> {
    let outcomes: JobResult[];
    try {
      outcomes = await runPrepared(batch);
    } catch (error) {
      refuse(batch, error);
      return;
    }
    for (const outcome of outcomes) {
      if ('error' in outcome) {
        outcome.job.reject(outcome.error);
        continue;
      }
      for (const listener of outcome.listeners) listener();
      outcome.job.resolve(outcome.value as never);
    }
  }

  function refuse(batch: Job[], error: unknown): void {
    const refusal = notRecorded(error);
    for (const job of batch) job.reject(refusal);
    if (isOutcomeUnknown(error)) {
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
