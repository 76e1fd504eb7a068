import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Lane } from '../operations.ts';
import { type Batch, openBatch } from './batch.ts';
import { type LogHead, readHead } from './log-head.ts';
import { RunAgain } from './run-again.ts';
import { type Db, fixedStatement, runLike, type Tx } from './statement.ts';

/**
 * The writer: the only place where transactions begin and commit.
 *
 * Writes that arrive while one transaction commits share the next one (group commit): each runs in its own savepoint, in
 * sequence, and sees the effects of those before it. An answer leaves only after the commit, so a power failure cannot
 * undo an acknowledged write, and a durable commit costs the same for one write as for thirty.
 *
 * An emergency goes before every ordinary write that waits, and meets none of them: they meet what it decided.
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
   * Within its lane, a write keeps its place in the order of the calls.
   *
   * @throws BrokerError `not_recorded` if a statement of `work` or the commit failed: this write was undone
   * @throws BrokerError `outcome_unknown` if the disk failed at the commit: only a restart can tell whether it is written
   * @throws BrokerError `restored_copy` if the database lacks what was acknowledged before
   * @throws BrokerError `shutting_down` after {@link Writer.close}
   * @throws BrokerError `clock_behind` if `work` asks for its time and the clock is too far behind the last record
   */
  write<T>(work: (tx: Tx, afterCommit: AfterCommit) => Promise<T>, lane?: Lane): Promise<T>;
  /** Why every write is refused now, or null. A clock that is behind does not count: it may be right at the next write. */
  refusal(): BrokerError | null;
  /** Finishes pending writes and accepts no new ones. */
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
/** How often one write may need a preparation: the active policy is compiled; a bundle is built, compiled, and judged. */
const MAX_PREPARATIONS = 4;

interface Job {
  work: (tx: Tx, afterCommit: AfterCommit) => Promise<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  lane: Lane;
  /** How often something was prepared for it. */
  preparations: number;
  /** The errors of preparations that failed, by what was missing. */
  faults: Map<string, unknown>;
}

/** A write that has to wait for a preparation. */
interface Unprepared {
  job: Job;
  missing: RunAgain;
}

type JobResult = { job: Job } & ({ value: unknown; listeners: (() => void)[] } | { error: unknown });

/** What became of a batch. */
interface Ran {
  results: JobResult[];
  /** The write that ended it early; it and those after it have not been run. */
  unprepared: Unprepared | null;
}

const begin = fixedStatement('begin immediate');
const commit = fixedStatement('commit');
const rollback = fixedStatement('rollback');
const savepoint = fixedStatement('savepoint one_write');
const releaseSavepoint = fixedStatement('release savepoint one_write');
const rollbackToSavepoint = fixedStatement('rollback to savepoint one_write');

/** Another process has taken over the writer: all caches of this process are stale. */
class TakeoverError extends Error {
  constructor() {
    super('another broker has taken over this store, so this broker no longer writes');
    this.name = 'TakeoverError';
  }
}

/** The disk failed at the commit: the transaction may or may not be on it. */
class UnknownOutcome extends Error {
  constructor(cause: unknown) {
    super('the disk failed at a commit, so its outcome is unknown', { cause });
    this.name = 'UnknownOutcome';
  }
}

/** The dependencies of a writer. */
export interface WriterDeps {
  /** The writing connection. */
  db: Db;
  clock: Clock;
  /** The fence of this process, raised when it took over the writer. */
  fence: number;
  /** Writes the head at the end of each batch that appended something, before its commit. */
  seal: (tx: Tx, head: LogHead) => Promise<Acknowledge>;
  /** Why this writer must not write at all. */
  stopped?: BrokerError | null;
  /** Called if the outcome of a commit is unknown, and after a takeover by another process. */
  onFailure: (error: unknown) => void;
  /** Called with the error or rejection of a listener after a commit. */
  onListenerFailure: (error: unknown) => void;
}

/** Creates the writer over the writing connection. */
export function createWriter(deps: WriterDeps): Writer {
  const queues: Record<Lane, Job[]> = { emergency: [], ordinary: [] };
  const pseudonyms = new Map<string, string>();
  let running: Promise<void> | null = null;
  let closed: BrokerError | null = deps.stopped ?? null;
  /** Set if this process must not write any more: the outcome of a commit is unknown, or another process has taken over. */
  let failed: BrokerError | null = null;
  /** What the last commits have still to be acknowledged with. */
  let owed: Acknowledge | null = null;
  /** Called when a preparation ends, and when an emergency arrives. */
  let wake: () => void = () => undefined;

  async function runJob(job: Job, tx: Tx, batch: Batch): Promise<JobResult | Unprepared> {
    const { head } = batch;
    await savepoint(tx);
    try {
      const listeners: (() => void)[] = [];
      batch.afterCommit = (listener) => listeners.push(listener);
      const value = await job.work(tx, batch.afterCommit);
      await releaseSavepoint(tx);
      return { job, value, listeners };
    } catch (error) {
      if (isStorageFault(error)) throw error;
      await rollbackToSavepoint(tx);
      await releaseSavepoint(tx);
      // Its places are free again.
      batch.head = head;
      const refusal = error instanceof RunAgain ? refusalOf(job, error) : { error };
      if (refusal === null) return { job, missing: error as RunAgain };
      return { job, error: isStoreError(refusal.error) ? notRecorded(refusal.error) : refusal.error };
    }
  }

  async function runTransaction(connection: Db, jobs: readonly Job[]): Promise<Ran> {
    const tx = connection as Tx;
    runLike(tx, deps.db);
    await begin(connection);
    try {
      const head = await readHead(tx);
      if (head.fence !== deps.fence) throw new TakeoverError();
      const batch: Batch = { head, clock: deps.clock, pseudonyms, afterCommit: () => undefined };
      openBatch(tx, batch);
      const results: JobResult[] = [];
      let unprepared: Unprepared | null = null;
      for (const job of jobs) {
        const result = await runJob(job, tx, batch);
        if ('missing' in result) {
          unprepared = result;
          break;
        }
        results.push(result);
      }
      const acknowledge = batch.head.size === head.size ? null : await deps.seal(tx, batch.head);
      await commit(connection).catch((error: unknown) => {
        throw isDiskFault(error) ? new UnknownOutcome(error) : error;
      });
      owed = acknowledge ?? owed;
      return { results, unprepared };
    } catch (error) {
      // SQLite may already have rolled back; report the first error.
      await rollback(connection).catch(() => undefined);
      throw error;
    }
  }

  async function runBatch(batch: Job[]): Promise<void> {
    if (failed !== null) {
      for (const job of batch) job.reject(failed);
      return;
    }
    let ran: Ran;
    try {
      // Without it, a restored older copy of the database would not be noticed.
      acknowledge();
      ran = await deps.db.connection().execute((connection) => runTransaction(connection, batch));
    } catch (error) {
      refuse(batch, error);
      return;
    }
    // These writes are durable, whatever becomes of their acknowledgement.
    callListener(acknowledge);
    for (const result of ran.results) {
      if ('error' in result) {
        result.job.reject(result.error);
        continue;
      }
      for (const listener of result.listeners) callListener(listener);
      result.job.resolve(result.value as never);
    }
    if (ran.unprepared !== null) {
      takeBack(batch.slice(ran.results.length));
      await prepare(ran.unprepared);
    }
  }

  /** Puts writes back in front of those of their lane. */
  function takeBack(jobs: readonly Job[]): void {
    for (const job of jobs.toReversed()) queues[job.lane].unshift(job);
  }

  /** Prepares what a write needs, outside of any transaction. Emergencies do not wait for it, unless they need it. */
  async function prepare({ job, missing }: Unprepared): Promise<void> {
    job.preparations += 1;
    let isRunning = true;
    const end = missing
      .prepare()
      .catch((fault: unknown) => job.faults.set(missing.what, fault))
      .finally(() => {
        isRunning = false;
        wake();
      });
    while (isRunning && job.lane !== 'emergency') {
      const emergencies = queues.emergency.splice(0, MAX_BATCH);
      if (emergencies.length > 0) await runBatch(emergencies);
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    await end;
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

  function refuse(batch: Job[], error: unknown): void {
    const refusal = notRecorded(error);
    const isUnknown = error instanceof UnknownOutcome;
    for (const job of batch) job.reject(isUnknown ? outcomeUnknown(error) : refusal);
    if (isUnknown || isDiskFault(error) || error instanceof TakeoverError) {
      // Later writes are not even begun.
      failed = refusal;
      deps.onFailure(isUnknown ? error.cause : error);
    }
  }

  /**
   * The next batch: emergencies first. They share it with one ordinary write only, so that their answers are not delayed
   * and ordinary writes still go on.
   */
  function nextBatch(): Job[] {
    const first = queues.emergency.splice(0, MAX_BATCH - 1);
    return [...first, ...queues.ordinary.splice(0, first.length === 0 ? MAX_BATCH : 1)];
  }

  async function drain(): Promise<void> {
    while (queues.emergency.length + queues.ordinary.length > 0) {
      // Waits one turn of the event loop, so that requests that have arrived meanwhile join this batch.
      await new Promise((resolve) => setImmediate(resolve));
      await runBatch(nextBatch());
    }
    running = null;
  }

  return {
    write: (work, lane = 'ordinary') =>
      new Promise((resolve, reject) => {
        const refusal = failed ?? closed;
        if (refusal !== null) {
          reject(refusal);
          return;
        }
        queues[lane].push({ work, resolve, reject, lane, preparations: 0, faults: new Map() });
        if (lane === 'emergency') wake();
        running ??= drain();
      }),
    refusal: () => failed ?? closed,
    close: async () => {
      closed ??= new BrokerError('shutting_down', 'The broker is shutting down; try again shortly.', {
        headers: { 'Retry-After': '5' },
      });
      while (running !== null) await running;
    },
  };
}

/** The error for a write that needs what cannot be had; null while it may be had. */
function refusalOf({ faults, preparations }: Job, { what }: RunAgain): { error: unknown } | null {
  if (faults.has(what)) return { error: faults.get(what) };
  if (preparations < MAX_PREPARATIONS) return null;
  return { error: notRecorded(new Error(`a write was not prepared after ${preparations} preparations`)) };
}

function notRecorded(cause: unknown): BrokerError {
  return new BrokerError(
    'not_recorded',
    'The store could not commit the decision, so this write was undone; try again later.',
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

function outcomeUnknown(cause: unknown): BrokerError {
  return new BrokerError(
    'outcome_unknown',
    'The disk failed while the decision was being committed. Read the current state after the broker has restarted, then decide whether to repeat the call.',
    { headers: { 'Retry-After': '30' } },
    cause,
  );
}

/** The store refused a statement of the write, so its decision has no record. */
function isStoreError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_');
}

/** The disk is full or failing: no write of this batch can be guaranteed. */
function isStorageFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|READONLY|CANTOPEN)/.test(code);
}

/** The disk cannot be relied on. After such an error at the commit, only a restart can tell what is on it. */
function isDiskFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_IOERR');
}
