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
  /** Runs once. There MAY be nothing to do. */
  run(): Promise<void>;
}

/** Runs everything that no call triggers. */
export interface Scheduler {
  /** Runs every job once. Also called by the timer, once started. Never rejects. */
  tick(): Promise<void>;
  start(): void;
  /** Stops after the current run. */
  stop(): Promise<void>;
}

/** Creates the scheduler. A failed job is logged and does not block the others. */
export function createScheduler({ jobs, log }: { jobs: readonly ScheduledJob[]; log: Logger }): Scheduler {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;

  async function tick(): Promise<void> {
    for (const { name, run } of jobs) {
      try {
        await run();
      } catch (error) {
        log.error({ err: error, job: name }, 'a scheduled job failed');
      }
    }
  }

  function runTick(): void {
    running ??= tick().finally(() => {
      running = null;
    });
  }

  return {
    tick,
    start: () => {
      timer ??= setInterval(runTick, INTERVAL_MS);
    },
    stop: async () => {
      if (timer !== null) clearInterval(timer);
      timer = null;
      await running;
    },
  };
}
