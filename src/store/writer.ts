import { setImmediate } from 'node:timers/promises';
import { BrokerError } from '../errors.ts';
import { outsideOfTraces, presentContext, traceWrite } from '../tracing.ts';
import {
  type Acknowledge,
  type AfterCommit,
  type BatchResult,
  type BatchTransactionDeps,
  createBatchTransactions,
  type Job,
  RefusedAtEnd,
} from './batch-transaction.ts';
import { createPreparations, type WriteLane } from './preparations.ts';
import type { RunAgain } from './run-again.ts';
import type { Tx } from './statement.ts';
import { isStorageFault, notRecorded, outcomeUnknown, stoppedBy, UnknownOutcome } from './write-faults.ts';

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

/** Limits the delay of the first answer of a batch. */
const MAX_BATCH = 50;

/** Scheduled writes fill a batch up to this size only, because an ordinary write that arrives meanwhile waits for all of it. */
const MAX_SCHEDULED_BATCH = 25;
/** So many scheduled writes share each batch, however many ordinary ones wait, so that they always go on. */
const ALWAYS_SCHEDULED = 5;

/** How long callers wait to learn whether their batch was committed, where that can be found out. */
const OUTCOME_WITHIN_MS = 10_000;

/** The dependencies of a writer. */
export interface WriterDeps extends BatchTransactionDeps {
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

/** Creates the writer over the writing connection. */
export function createWriter(deps: WriterDeps): Writer {
  const { transactions } = deps;
  const queues: Record<WriteLane, Job[]> = { emergency: [], ordinary: [], scheduled: [] };
  const waits = () => Object.values(queues).some((queue) => queue.length > 0);
  const batches = createBatchTransactions(deps);
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
    if (jobs.length > 0) start();
  });

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
    } catch (error) {
      tellAll(outcomeUnknown(unknown));
      const stopped = stoppedBy(error);
      if (stopped !== null) stop(stopped);
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
      ran = await deps.db.connection().execute((connection) => batches.run(connection, batch));
    } catch (error) {
      if (error instanceof RefusedAtEnd) await runEachAlone(batch);
      else refuse(batch, error);
      return error instanceof BrokerError ? error : null;
    }
    const { results, unknown, head } = ran;
    if (unknown !== null && !(await isCommitted(batch, unknown))) return null;
    fault = null;
    owed = ran.acknowledge ?? owed;
    batches.knowEnd(head);
    // These writes are durable, whatever becomes of their acknowledgement.
    callListener(acknowledge);
    for (const result of results) {
      if ('value' in result) {
        for (const listener of result.listeners) result.job.within(() => callListener(listener));
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

  function start(): void {
    running ??= outsideOfTraces(drain);
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
        const within = presentContext();
        queues[lane].push({ work, within, ...traced({ resolve, reject }), lane, ...unprepared });
        start();
      }),
    refusal: () => failed ?? closed,
    fault: () => suspended ?? fault,
    stop,
    wake: () => {
      if (failed === null && closed === null) start();
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
