import { Worker } from 'node:worker_threads';
import { BrokerError } from '../errors.ts';
import { findSystemRefusal } from './system-refusal.ts';
import { CheckpointFailed } from './write-faults.ts';

/*
 * Checkpoints of SQLite's write-ahead log: it is copied into the database, and begun anew. Both wait for the disk several times,
 * so a thread of their own does them, in two steps:
 *
 * 1. It copies what there is, while writes go on.
 * 2. Between two batches it copies the rest and begins the log anew, while writes wait, and only they.
 *
 * Whoever reads an old state (a copy of the database that is being made, a forgotten shell) stops the second step. Then the
 * log grows, up to a limit from which on writes are refused: a full disk would be worse.
 */

/** What the thread gets. */
export interface CheckpointTask {
  /** The database. */
  file: string;
  /** A descriptor of the database. The thread must not have one of its own: closing it ends SQLite's locks on the file. */
  databaseFile: number;
  /** The size to which a log that has grown is cut. */
  keepBytes: number;
}

/** What the thread is told to do. */
export type CheckpointStep = 'copy' | 'restart' | 'stop';

/** What it has done. */
export interface CheckpointProgress {
  /** The pages in the log, and how many of them are in the database. */
  pages: number;
  copied: number;
  /** Somebody reads an old state, or writes. */
  isBlocked: boolean;
}

/** What it answers. */
export type CheckpointAnswer = CheckpointProgress | { error: { code: string; message: string } };

/** What became of a checkpoint. */
export interface CheckpointReport {
  outcome: 'done' | 'blocked' | 'failed';
  /** The pages in the log, and how many of them are in the database. */
  pages: number;
  copied: number;
  /** How long writes waited. */
  pause_ms: number;
  /** For how long none could be completed; 0 if this one was. */
  blocked_ms: number;
  error?: { code: string; message: string };
}

/** The state of the log, for metrics. */
export interface WalState {
  /** The size of what is in the log. */
  bytes: number;
  blocked_ms: number;
  /** The number of checkpoints since the start, by outcome. */
  checkpoints: Readonly<Record<CheckpointReport['outcome'], number>>;
}

/** The checkpoints of one database. */
export interface Checkpoints {
  /**
   * Does what has to be done between two batches. There MUST be no open transaction.
   *
   * @returns why no write may begin now, or null
   * @throws CheckpointFailed if the disk failed: then nothing more may be written
   */
  beforeBatch(): Promise<BrokerError | null>;
  /** Why no write may begin now, as far as is known. */
  refusal(): BrokerError | null;
  state(): WalState;
  /** Ends the thread. A later checkpoint starts another one. */
  stop(): Promise<void>;
}

/** Limits of the log, in pages. */
export interface WalLimits {
  /** A checkpoint begins. About 400 changes of flags. */
  checkpointAt: number;
  /** Writes are refused. */
  refuseAt: number;
}

/** 16 MiB, and 1 GiB. */
const LIMITS: WalLimits = { checkpointAt: 4096, refuseAt: 262_144 };

/** How often a checkpoint that somebody blocks is tried again. */
const RETRY_MS = 1000;

/** What {@link createCheckpoints} needs. */
export interface CheckpointDeps {
  file: string;
  databaseFile: number;
  pageBytes: number;
  /** The pages in the log. Called while no transaction is open. */
  pagesInLog: () => number;
  /** Has {@link Checkpoints.beforeBatch} called soon although nobody writes. */
  wake: () => void;
  report: (report: CheckpointReport) => void;
  limits?: WalLimits;
}

/** Creates the checkpoints of a database. Its thread is started by the first one. */
export function createCheckpoints(deps: CheckpointDeps): Checkpoints {
  const limits = deps.limits ?? LIMITS;
  const counts = { done: 0, blocked: 0, failed: 0 };
  let thread: Thread | null = null;
  /** The first step; null if it has not begun. */
  let copying: Promise<CheckpointAnswer> | null = null;
  let isCopied = false;
  /** Since when no checkpoint was completed, and why. */
  let hindrance: { sinceMs: number; says: string } | null = null;
  let pages = 0;
  let retry: NodeJS.Timeout | null = null;
  let failure: Error | null = null;

  function begin(): void {
    thread ??= startThread({
      file: deps.file,
      databaseFile: deps.databaseFile,
      keepBytes: 2 * limits.checkpointAt * deps.pageBytes,
    });
    const step = thread.ask('copy');
    copying = step;
    const ended = () => {
      if (copying !== step) return;
      isCopied = true;
      deps.wake();
    };
    step.then(ended, ended);
  }

  /** The second step. */
  async function finish(first: CheckpointAnswer): Promise<void> {
    const startedMs = performance.now();
    const answer = 'error' in first || thread === null ? first : await thread.ask('restart');
    copying = null;
    isCopied = false;
    const pause_ms = performance.now() - startedMs;
    if (!('error' in answer)) {
      if (answer.isBlocked) tryLater(startedMs, 'Another program has been reading the database');
      else hindrance = null;
      const { isBlocked, ...copied } = answer;
      note({ ...copied, outcome: isBlocked ? 'blocked' : 'done', pause_ms });
      return;
    }
    const { error } = answer;
    if (canBeRepeated(error.code)) tryLater(startedMs, 'The disk of the database has taken no writes');
    else failure = new CheckpointFailed(Object.assign(new Error(error.message), { code: error.code }));
    note({ outcome: 'failed', pages, copied: 0, pause_ms, error });
    if (failure !== null) throw failure;
  }

  /**
   * Whether nothing of a checkpoint counts as copied, and all of it is written again. What could not be synchronized is not:
   * SQLite takes parts of it for copied before.
   */
  function canBeRepeated(code: string): boolean {
    if (code === 'SQLITE_FULL') return true;
    return /^SQLITE_IOERR(?!.*FSYNC)/.test(code) && findSystemRefusal(deps.file) !== null;
  }

  function tryLater(nowMs: number, says: string): void {
    hindrance = { sinceMs: hindrance?.sinceMs ?? nowMs, says };
    retry = setTimeout(() => {
      retry = null;
      deps.wake();
    }, RETRY_MS).unref();
  }

  function note(report: Omit<CheckpointReport, 'blocked_ms'>): void {
    counts[report.outcome] += 1;
    deps.report({ ...report, blocked_ms: blockedMs() });
  }

  function blockedMs(): number {
    return hindrance === null ? 0 : performance.now() - hindrance.sinceMs;
  }

  function refusal(): BrokerError | null {
    if (hindrance === null || pages < limits.refuseAt) return null;
    return new BrokerError(
      'database_in_use',
      `${hindrance.says} for ${Math.round(blockedMs() / 1000)} seconds, so the write-ahead log beside it cannot be copied and has reached its limit. Nothing was written; the operator must end that.`,
      { headers: { 'Retry-After': '5' } },
    );
  }

  return {
    beforeBatch: async () => {
      if (failure !== null) throw failure;
      if (copying !== null && isCopied) await finish(await copying);
      pages = deps.pagesInLog();
      if (copying === null && retry === null && pages >= limits.checkpointAt) begin();
      return refusal();
    },
    refusal,
    state: () => ({ bytes: pages * deps.pageBytes, blocked_ms: blockedMs(), checkpoints: { ...counts } }),
    stop: async () => {
      if (retry !== null) clearTimeout(retry);
      retry = null;
      await thread?.stop();
      thread = null;
      copying = null;
      isCopied = false;
    },
  };
}

interface Thread {
  ask(step: Exclude<CheckpointStep, 'stop'>): Promise<CheckpointAnswer>;
  stop(): Promise<void>;
}

function startThread(workerData: CheckpointTask): Thread {
  const place = new URL(
    `./wal-checkpoint-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`,
    import.meta.url,
  );
  const worker = new Worker(place, { workerData, env: {}, execArgv: [] });
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
  });
  let resolveAnswer: ((answer: CheckpointAnswer) => void) | null = null;
  const answer = (given: CheckpointAnswer) => {
    // Idle, it does not keep the process.
    worker.unref();
    resolveAnswer?.(given);
    resolveAnswer = null;
  };
  worker.on('message', answer);
  const fail = (message: string) => answer({ error: { code: 'SQLITE_IOERR', message } });
  worker.on('error', (error) => fail(`its thread failed: ${(error as Error).message}`));
  worker.on('exit', () => fail('its thread ended'));
  worker.unref();
  return {
    ask: (step) =>
      new Promise((resolve) => {
        resolveAnswer = resolve;
        worker.ref();
        worker.postMessage(step);
      }),
    stop: async () => {
      worker.ref();
      worker.postMessage('stop' satisfies CheckpointStep);
      await ended;
    },
  };
}
