import type { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/*
 * Scheduled work, one file for each job. The scheduler is a principal like any other, and writes through the same writer.
 * What is due is in the store. A job remembers only when it runs again, so a restart loses nothing.
 */

/** The interval between two runs of the scheduler. */
const INTERVAL_MS = 1000;

/** One scheduled job. */
export interface ScheduledJob {
  /** For the log. */
  name: string;
  /** Whether it writes. Such a job waits while the store takes no writes. */
  writes: boolean;
  /** Whether one of the brokers on a database does it for all. */
  alone: boolean;
  /** Runs once. There MAY be nothing to do. */
  run(): Promise<void>;
  /** Whether the last run ended only to give the other jobs their turn, and goes on at once. */
  hasMore?: () => boolean;
  /** Resolves when what runs has left to be done later is done. */
  rest?: () => Promise<void>;
  /** Called when the scheduler starts, by a job that also runs between two runs of the scheduler. */
  begin?: () => void;
  /** Ends that, and resolves when nothing runs any more. */
  end?: () => Promise<void>;
}

/** Runs everything that no call triggers. */
export interface Scheduler {
  /** Runs every job once, and waits for the rest of each. Never rejects. */
  tick(): Promise<void>;
  start(): void;
  /** Stops after the current run. */
  stop(): Promise<void>;
}

/** What {@link createScheduler} needs. */
export interface SchedulerDeps {
  jobs: readonly ScheduledJob[];
  /** Why a write would be refused now, or null. */
  writeRefusal: () => Promise<BrokerError | null>;
  /** Whether this broker is the one that does what only one has to do. */
  isScheduler: () => Promise<boolean>;
  log: Logger;
}

/**
 * Creates the scheduler. A failed job is logged and does not block the others. Each look also notices whether the store
 * takes writes, and logs when that changes.
 */
export function createScheduler({ jobs, writeRefusal, isScheduler, log }: SchedulerDeps): Scheduler {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  /** The code of the refusal that was logged last. */
  let refusedBy: string | null = null;

  function noteRefusal(refusal: BrokerError | null): void {
    const code = refusal?.code ?? null;
    if (code === refusedBy) return;
    refusedBy = code;
    if (refusal === null) log.warn('writes are accepted again');
    else log.error({ code, detail: refusal.message, err: refusal.cause }, 'writes are refused; reads go on');
  }

  /** One that cannot tell leaves the work to the others. */
  async function isChosen(): Promise<boolean> {
    return isScheduler().catch((error: unknown) => {
      log.error({ err: error }, 'could not tell which broker does the scheduled work');
      return false;
    });
  }

  async function run(): Promise<void> {
    const refusal = await writeRefusal().catch((error: unknown) => {
      log.error({ err: error }, 'could not tell whether the store takes writes');
      return null;
    });
    noteRefusal(refusal);
    const doesAlone = refusal === null && (await isChosen());
    for (const job of jobs) {
      if (job.writes && refusal !== null) continue;
      if (job.alone && !doesAlone) continue;
      try {
        await job.run();
      } catch (error) {
        log.error({ err: error, job: job.name }, 'a scheduled job failed');
      }
    }
  }

  async function runAll(): Promise<void> {
    do await run();
    while (timer !== null && jobs.some((job) => job.hasMore?.()));
  }

  /** Waits for the rest of no job, so that no job waits for that of another. */
  function runOnTime(): void {
    running ??= runAll().finally(() => {
      running = null;
    });
  }

  return {
    tick: async () => {
      await run();
      for (const job of jobs) await job.rest?.();
    },
    start: () => {
      timer ??= setInterval(runOnTime, INTERVAL_MS);
      for (const job of jobs) job.begin?.();
    },
    stop: async () => {
      if (timer !== null) clearInterval(timer);
      timer = null;
      await running;
      for (const job of jobs) await job.end?.();
    },
  };
}
