import type { Logger } from '../logger.ts';

/*
 * What time brings, a file for each job. The scheduler is a principal like any other and asks the writer like everybody;
 * its whole memory is in the store.
 */

/** How often the scheduler looks for work. */
const INTERVAL_MS = 1000;

/** One thing to look after. */
export interface ScheduledJob {
  /** For the log. */
  name: string;
  /** Looks once. It MAY find that nothing is due. */
  run(): Promise<void>;
}

/** Looks after everything that no call brings. */
export interface Scheduler {
  /** Looks once at everything that is due. Also called by the clock, once started. Never rejects. */
  tick(): Promise<void>;
  start(): void;
  /** Ends after the look at hand. */
  stop(): Promise<void>;
}

/** Creates the scheduler. A job that fails is logged, and keeps none of the others from their turn. */
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
