import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../errors.ts';
import { unknownName } from '../../unknown-name.ts';
import type { Checked, Checks, Comparison, WantedSpan } from './checks.ts';
import type { Progress } from './run.ts';

/*
 * Checks that somebody asked for without proposing. They are in this broker's memory only: whoever needs a report for good
 * proposes the policy.
 */

/** The number at once: each takes a thread with two policies. */
const MAX_RUNNING = 2;
/** Finished runs are kept for this long. */
const KEPT_MS = 15 * 60 * 1000;
const MAX_KEPT = 50;

/** One run. */
export interface CheckRun {
  id: string;
  /** The person or workload who started it, who alone may see it. */
  caller: string;
  started_ms: number;
  ended_ms: number | null;
  progress: Progress | null;
  /** Null while it runs. */
  outcome: Checked | BrokerError | null;
}

/** A place for one run of a caller; each call has its own. */
export interface Place {
  readonly caller: string;
}

/** The runs of this broker. */
export interface CheckRuns {
  /**
   * Takes one of the places, before anything is built or compiled for the run. Of no effect for a place that is taken.
   *
   * @throws BrokerError `state_conflict` if the caller has a run or another place, `rate_limited` if all are taken
   */
  take(place: Place): void;
  /** Starts a run, for which a place was taken. */
  start(place: Place, comparison: Comparison, span: WantedSpan): CheckRun;
  /** Gives up a place whose run has not started. Of no effect otherwise. */
  giveUp(place: Place): void;
  /** A run of this caller. @throws BrokerError `not_found` */
  find(caller: string, id: string): CheckRun;
}

/** Opens the runs of a broker. */
export function createRuns({
  checks,
  clock,
  newId,
  onFault,
}: {
  checks: Pick<Checks, 'run'>;
  clock: Clock;
  newId: (nowMs: number) => string;
  /** Called with an error that is no refusal. */
  onFault: (error: unknown) => void;
}): CheckRuns {
  const runs = new Map<string, CheckRun>();
  /** Places whose run has not started. */
  const taken = new Set<Place>();

  function forget(nowMs: number): void {
    for (const [id, { ended_ms }] of runs) {
      if (ended_ms === null) continue;
      if (nowMs - ended_ms > KEPT_MS || runs.size > MAX_KEPT) runs.delete(id);
    }
  }

  function assertFree(caller: string): void {
    const running = [...runs.values()].filter(({ outcome }) => outcome === null);
    const own = [...running, ...taken].find((one) => one.caller === caller);
    if (own !== undefined) {
      throw new BrokerError('state_conflict', 'Checks that you started still run: wait for them.', {
        extra: { running: 'id' in own ? own.id : null },
      });
    }
    if (running.length + taken.size < MAX_RUNNING) return;
    throw new BrokerError('rate_limited', 'Others have started checks that still run: try again shortly.', {
      headers: { 'Retry-After': '10' },
    });
  }

  async function work(run: CheckRun, comparison: Comparison, span: WantedSpan): Promise<void> {
    const advance = (progress: Progress) => {
      run.progress = progress;
    };
    try {
      run.outcome = await checks.run(comparison, { span, advance });
    } catch (error) {
      run.outcome =
        error instanceof BrokerError
          ? error
          : new BrokerError('internal_error', 'The checks ended with an error of the broker.', {}, error);
      if (run.outcome !== error) onFault(error);
    } finally {
      run.ended_ms = clock();
    }
  }

  return {
    take: (place) => {
      if (taken.has(place)) return;
      forget(clock());
      assertFree(place.caller);
      taken.add(place);
    },
    giveUp: (place) => taken.delete(place),
    start: (place, comparison, span) => {
      taken.delete(place);
      const started_ms = clock();
      const run: CheckRun = {
        id: newId(started_ms),
        caller: place.caller,
        started_ms,
        ended_ms: null,
        progress: null,
        outcome: null,
      };
      runs.set(run.id, run);
      work(run, comparison, span).catch(onFault);
      return run;
    },
    find: (caller, id) => {
      const run = runs.get(id);
      if (run === undefined || run.caller !== caller) {
        throw unknownName({
          what: 'check',
          name: id,
          more: 'Only who started checks sees them, for a while.',
        });
      }
      return run;
    },
  };
}
