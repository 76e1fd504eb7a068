import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { traceWrite, type WriteTrace } from '../tracing.ts';
import { type Batch, openBatch } from './batch.ts';
import { knowStart } from './batch-start.ts';
import type { LogHead } from './log-head.ts';
import { createPreparations, type Preparable, type WriteLane } from './preparations.ts';
import { RunAgain } from './run-again.ts';
import {
  beginWrite,
  type Db,
  endBatch,
  fixedStatement,
  insertDeferred,
  runLike,
  type Tx,
} from './statement.ts';
import type { Transactions } from './transactions.ts';
import {
  isStorageFault,
  isStoreError,
  notRecorded,
  outcomeUnknown,
  stoppedBy,
  TakeoverError,
  UnknownOutcome,
} from './write-faults.ts';

/**
 * The writer: the only place where transactions begin and commit.
 *
 * Writes that arrive while one transaction commits share the next one (group commit): each runs in its own savepoint, in
 * sequence, and sees the effects of those before it. A durable commit then costs the same for one write as for thirty.
 *
 * The thread of the writer answers everybody, so it never waits for the disk. SQLite commits without synchronizing, and the
 * log is synchronized by another thread afterwards. Until that has ended, nobody learns of the batch: no answer leaves, no
 * listener is called, no later batch begins, and all reads are held at the state before. So a power failure cannot undo what
 * somebody has seen. Statements stay on this thread: they take rows from memory, and to send each to another thread and back
 * costs more than most of them do. Batches do not overlap: what is done for a write before and after its transaction goes on
 * meanwhile, and the writes that arrive share the next one.
 *
 * An emergency goes before every other write that waits, and meets none of them: they meet what it decided. Scheduled writes
 * go behind ordinary ones: thousands may be due at once, and nobody waits for their answers.
 *
 * Rows that hardly anything reads before the commit wait for the end of the batch, and are then inserted at once for all of its
 * writes (`deferred.ts`): outside of savepoints, each of which keeps a copy of every page that is changed in it.
 *
 * Each batch begins with the head of the log: it says whether this writer may still write, assigns the place of each
 * record and the time of each write, and is sealed before the commit.
 */
export interface Writer {
  /**
   * Runs `work` in the writing transaction and resolves with its result after the commit.
   *
   * If `work` throws, everything it wrote is rolled back and the error is rethrown; other writes of the batch are not
   * affected. `work` MUST await nothing but the store, because the transaction is open. It may run several times before
   * it is written ({@link RunAgain}), so it must not change anything outside the transaction except in `afterCommit`.
   * Those listeners run after the commit, before the answer leaves, and not at all if the write fails.
   *
   * Within its lane, a write keeps its place in the order of the calls, unless it has to be prepared: then it leaves the
   * queue, and goes before those that wait once it is prepared.
   *
   * @throws BrokerError `not_recorded` if a statement of `work` or the commit failed: this write was undone
   * @throws BrokerError `outcome_unknown` if the disk failed at the commit: only a restart can tell whether it is written
   * @throws BrokerError `database_in_use` if another program holds the database
   * @throws BrokerError `restored_copy` if the database lacks what was acknowledged before
   * @throws BrokerError `store_unwritable`, `store_damaged`, `log_altered` if only an operator can help
   * @throws BrokerError `shutting_down` after {@link Writer.close}, and if it has to be prepared then
   * @throws BrokerError `overloaded` if it has to be prepared and too many others wait for that
   * @throws BrokerError `clock_behind` if `work` asks for its time and the clock is too far behind the last record
   */
  write<T>(work: (tx: Tx, afterCommit: AfterCommit) => Promise<T>, lane?: WriteLane): Promise<T>;
  /** Why every write is refused now, or null. A clock that is behind does not count: it may be right at the next write. */
  refusal(): BrokerError | null;
  /** What the disk did to the last batch, or null if it was committed. The next write is still tried. */
  fault(): BrokerError | null;
  /** Refuses every write from now on, for good. What is being written is finished. */
  stop(refusal: BrokerError): void;
  /** Does what has to be done between two batches, although nobody writes. */
  wake(): void;
  /** Finishes pending writes and accepts no new ones. Those that still have to be prepared are refused. */
  close(): Promise<void>;
}

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

/** Limits the delay of the first answer of a batch. */
const MAX_BATCH = 50;

/** Scheduled writes fill a batch up to this size only, because an ordinary write that arrives meanwhile waits for all of it. */
const MAX_SCHEDULED_BATCH = 25;
/** So many scheduled writes share each batch, however many ordinary ones wait, so that they always go on. */
const ALWAYS_SCHEDULED = 5;

/**
 * How long the writes of a batch may keep the thread. Then everybody else has a turn: reads are answered, and one of the
 * connections that wait is accepted, because the event loop accepts one a turn.
 */
const LONGEST_TURN_MS = 2;

/** How long callers wait to learn whether their batch was committed, where that can be found out. */
const OUTCOME_WITHIN_MS = 10_000;

interface Job extends Preparable {
  work: (tx: Tx, afterCommit: AfterCommit) => Promise<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  /** Null if nobody traces the call that it belongs to. */
  trace: WriteTrace | null;
}

/** What became of a write: its result, its error, or that it has to be prepared first. */
type JobResult = { job: Job } & (
  | { value: unknown; listeners: (() => void)[] }
  | { error: unknown }
  | { missing: RunAgain }
);

/** What became of the writes of a batch, if it is committed; and why that is unknown, or null. */
interface BatchResult {
  results: JobResult[];
  unknown: UnknownOutcome | null;
  /** The end of the log after it. */
  head: LogHead;
}

const savepoint = fixedStatement('savepoint one_write');
const releaseSavepoint = fixedStatement('release savepoint one_write');
const rollbackToSavepoint = fixedStatement('rollback to savepoint one_write');

/** The dependencies of a writer. */
export interface WriterDeps {
  transactions: Transactions;
  /** The writing connection. */
  db: Db;
  clock: Clock;
  /** The fence when this process opened the store. Once it is raised, nothing that is remembered here holds any more. */
  fence: number;
  /** Writes the head at the end of each batch that appended something, before its commit. */
  seal: (tx: Tx, head: LogHead) => Promise<Acknowledge>;
  /**
   * Called between two batches, while no transaction is open.
   *
   * @returns why the next batch must not begin, or null
   * @throws Error if nothing more may be written
   */
  beforeBatch?: () => Promise<BrokerError | null>;
  /** Why this writer must not write at all. */
  stopped?: BrokerError | null;
  /** Called once if this writer has stopped, with the reason. */
  onFailure: (error: unknown) => void;
  /** Called with the error or rejection of a listener after a commit. */
  onListenerFailure: (error: unknown) => void;
}

/** The database refuses a row that waited for the end of its batch. Whose it is, is found by writing each alone. */
class RefusedAtEnd extends Error {}

/** Creates the writer over the writing connection. */
export function createWriter(deps: WriterDeps): Writer {
  const { transactions } = deps;
  const queues: Record<WriteLane, Job[]> = { emergency: [], ordinary: [], scheduled: [] };
  const waits = () => Object.values(queues).some((queue) => queue.length > 0);
  const pseudonyms = new Map<string, string>();
  /** Where the log ended after the last batch of this writer; null if that is not known. */
  let endedAt: Pick<LogHead, 'epoch' | 'size'> | null = null;
  let running: Promise<void> | null = null;
  let closed: BrokerError | null = deps.stopped ?? null;
  /** Set if this process must not write any more: the outcome of a commit is unknown, or the fence was raised. */
  let failed: BrokerError | null = null;
  let fault: BrokerError | null = null;
  /** Set while it takes long to find out what became of a batch. */
  let suspended: BrokerError | null = null;
  const ending = new AbortController();
  /** What the last commits have still to be acknowledged with. */
  let owed: Acknowledge | null = null;
  const preparations = createPreparations<Job>((jobs) => {
    // They came earlier than those of their lane that wait now.
    for (const job of jobs.toReversed()) queues[job.lane].unshift(job);
    if (jobs.length > 0) running ??= drain();
  });

  async function runJob(job: Job, tx: Tx, batch: Batch): Promise<JobResult> {
    const { head } = batch;
    const undo = beginWrite(tx);
    await savepoint(tx);
    try {
      const listeners: (() => void)[] = [];
      batch.afterCommit = (listener) => listeners.push(listener);
      const work = () => job.work(tx, batch.afterCommit);
      const value = await (job.trace === null ? work() : job.trace.within(work));
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

  async function runTransaction(connection: Db, jobs: readonly Job[]): Promise<BatchResult> {
    const tx = connection as Tx;
    runLike(tx, deps.db);
    try {
      const head = await transactions.begin(connection);
      if (head.fence !== deps.fence) throw new TakeoverError();
      // Another broker may have erased some of them, which leaves a record.
      if (endedAt?.size !== head.size || endedAt.epoch !== head.epoch) pseudonyms.clear();
      endedAt = null;
      const leaves = new Map<number, Buffer>();
      const { clock } = deps;
      const batch: Batch = { head, from: head, leaves, clock, pseudonyms, afterCommit: () => undefined };
      openBatch(tx, batch);
      await knowStart(tx);
      const results: JobResult[] = [];
      let turnMs = performance.now();
      for (const job of jobs) {
        if (performance.now() - turnMs > LONGEST_TURN_MS) {
          await setImmediate();
          turnMs = performance.now();
        }
        job.trace?.next('write');
        const result = await runJob(job, tx, batch);
        job.trace?.next('missing' in result ? 'wait' : 'commit');
        results.push(result);
      }
      insertWaiting(tx, jobs);
      const acknowledge = batch.head.size === head.size ? null : await deps.seal(tx, batch.head);
      const unknown = await commit(connection);
      owed = acknowledge ?? owed;
      return { results, unknown, head: batch.head };
    } catch (error) {
      // The database may already have rolled back; report the first error.
      await transactions.rollback(connection).catch(() => undefined);
      throw error;
    } finally {
      endBatch(tx);
    }
  }

  /** @throws RefusedAtEnd if the rows of any of several writes are refused */
  function insertWaiting(tx: Tx, jobs: readonly Job[]): void {
    try {
      insertDeferred(tx);
    } catch (error) {
      if (jobs.length === 1 || isStorageFault(error)) throw error;
      throw new RefusedAtEnd();
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

  /**
   * Finds out what became of a batch, which no later one may overtake. Whoever waits is told after a while that it is not known
   * yet.
   */
  async function isCommitted(batch: readonly Job[], unknown: UnknownOutcome): Promise<boolean> {
    const tellAll = (refusal: BrokerError) => {
      for (const job of batch) job.reject(refusal);
    };
    const impatience = setTimeout(() => {
      tellAll(outcomeUnknown(unknown));
      suspended = notRecorded(unknown.cause);
      refuseQueues(suspended);
    }, OUTCOME_WITHIN_MS);
    try {
      if ((await transactions.findOutcome?.(ending.signal)) === 'committed') return true;
      refuse(batch, unknown.cause);
    } catch {
      tellAll(outcomeUnknown(unknown));
    } finally {
      clearTimeout(impatience);
      suspended = null;
    }
    return false;
  }

  /** @returns the refusal that holds for every write, if there was one */
  async function runBatch(batch: Job[]): Promise<BrokerError | null> {
    let ran: BatchResult;
    try {
      // Without it, a restored older copy of the database would not be noticed.
      acknowledge();
      ran = await deps.db.connection().execute((connection) => runTransaction(connection, batch));
    } catch (error) {
      if (error instanceof RefusedAtEnd) await runEachAlone(batch);
      else refuse(batch, error);
      return error instanceof BrokerError ? error : null;
    }
    const { results, unknown, head } = ran;
    if (unknown !== null && !(await isCommitted(batch, unknown))) return null;
    fault = null;
    endedAt = head;
    // These writes are durable, whatever becomes of their acknowledgement.
    callListener(acknowledge);
    for (const result of results) {
      if ('value' in result) {
        for (const listener of result.listeners) callListener(listener);
        result.job.resolve(result.value as never);
      } else if ('error' in result) result.job.reject(result.error);
    }
    for (const result of results) {
      if ('missing' in result) prepare(result.job, result.missing);
    }
    return null;
  }

  async function runEachAlone(batch: readonly Job[]): Promise<void> {
    let refusal: BrokerError | null = null;
    for (const job of batch) {
      refusal ??= failed;
      if (refusal === null) refusal = await runBatch([job]);
      else job.reject(refusal);
    }
  }

  /** Lets a write wait for what it needs, outside of any transaction. */
  function prepare(job: Job, missing: RunAgain): void {
    if (closed !== null) {
      job.reject(closed);
      return;
    }
    const refusal = preparations.add(job, missing);
    if (refusal !== null) job.reject(refusal.error);
  }

  function refuseWaiting(refusal: BrokerError): void {
    for (const job of preparations.takeAll()) job.reject(refusal);
  }

  function acknowledge(): void {
    owed?.();
    owed = null;
  }

  /** The write is durable: a failing listener neither rolls it back nor stops the queue. */
  function callListener(listener: () => unknown): void {
    try {
      const answer = listener();
      // TypeScript accepts an async function as a listener that returns nothing.
      if (answer instanceof Promise) answer.catch(deps.onListenerFailure);
    } catch (error) {
      deps.onListenerFailure(error);
    }
  }

  function refuse(batch: readonly Job[], error: unknown): void {
    if (error instanceof BrokerError) {
      for (const job of batch) job.reject(error);
      // Those that wait would only wait for the same again.
      refuseQueues(error);
      return;
    }
    const refusal = error instanceof UnknownOutcome ? outcomeUnknown(error) : notRecorded(error);
    for (const job of batch) job.reject(refusal);
    fault = isStorageFault(error) ? refusal : null;
    const stopped = stoppedBy(error);
    if (stopped !== null) stop(stopped);
  }

  function refuseQueues(refusal: BrokerError): void {
    const waiting = Object.values(queues).flatMap((queue) => queue.splice(0));
    for (const job of waiting) job.reject(refusal);
    preparations.ran(waiting);
  }

  /** Later writes are not even begun. */
  function stop(refusal: BrokerError): void {
    if (failed !== null) return;
    failed = refusal;
    refuseWaiting(refusal);
    deps.onFailure(refusal.cause ?? refusal);
  }

  /**
   * The next batch: emergencies first. They share it with one write of each other lane only, so that their answers are not
   * delayed and the others still go on.
   */
  function nextBatch(): Job[] {
    const { emergency, ordinary, scheduled } = queues;
    if (emergency.length > 0) {
      const others = [...ordinary.splice(0, 1), ...scheduled.splice(0, 1)];
      return [...emergency.splice(0, MAX_BATCH - others.length), ...others];
    }
    const first = ordinary.splice(0, MAX_BATCH - Math.min(scheduled.length, ALWAYS_SCHEDULED));
    const room = Math.max(MAX_SCHEDULED_BATCH - first.length, ALWAYS_SCHEDULED);
    return [...first, ...scheduled.splice(0, room)];
  }

  async function runTurn(): Promise<void> {
    let refusal = failed;
    try {
      refusal ??= (await deps.beforeBatch?.()) ?? null;
    } catch (error) {
      stop(stoppedBy(error) ?? notRecorded(error));
      refusal = failed;
    }
    const batch = nextBatch();
    if (refusal !== null) for (const job of batch) job.reject(refusal);
    else if (batch.length > 0) await runBatch(batch);
    preparations.ran(batch);
  }

  async function drain(): Promise<void> {
    do {
      // Waits one turn of the event loop, so that requests that have arrived meanwhile join this batch.
      await setImmediate();
      await runTurn();
    } while (waits());
    running = null;
  }

  return {
    write: (work, lane = 'ordinary') =>
      new Promise((resolve, reject) => {
        const refusal = failed ?? closed ?? suspended;
        if (refusal !== null) {
          reject(refusal);
          return;
        }
        const unprepared = { preparations: 0, faults: new Map(), hasPlace: false };
        queues[lane].push({ work, ...traced({ resolve, reject }), lane, ...unprepared });
        running ??= drain();
      }),
    refusal: () => failed ?? closed,
    fault: () => suspended ?? fault,
    stop,
    wake: () => {
      if (failed === null && closed === null) running ??= drain();
    },
    close: async () => {
      closed ??= new BrokerError('shutting_down', 'The broker is shutting down; try again shortly.', {
        headers: { 'Retry-After': '5' },
      });
      refuseWaiting(closed);
      ending.abort();
      while (running !== null) await running;
    },
  };
}

/** Ends the trace of a write, if there is one, with its answer. */
function traced({
  resolve,
  reject,
}: Pick<Job, 'resolve' | 'reject'>): Pick<Job, 'resolve' | 'reject' | 'trace'> {
  const trace = traceWrite();
  if (trace === null) return { resolve, reject, trace };
  return {
    trace,
    resolve: (value) => {
      trace.end();
      resolve(value);
    },
    reject: (error) => {
      trace.end();
      reject(error);
    },
  };
}
