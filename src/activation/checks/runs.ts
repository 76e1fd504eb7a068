import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../errors.ts';
import { unknownName } from '../../unknown-name.ts';
import type { Checked, Checks, Comparison, WantedSpan } from './checks.ts';
import type { Progress } from './run.ts';

/*
 * Checks that somebody asked for without proposing. The broker that runs them tells the others how far they are, for a while:
 * whoever needs a report for good proposes the policy.
 */

/** The number at once: each takes a thread with two policies. */
const MAX_RUNNING = 2;
/** Finished runs are kept for this long. */
const KEPT_MS = 15 * 60 * 1000;
const MAX_KEPT = 50;
/** How often the others are told of a run. */
const TELL_EVERY_MS = 5_000;

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

/** What the brokers of an installation tell each other of runs. */
export interface ToldRuns {
  tell(run: CheckRun): Promise<void>;
  /** A run of this caller at any broker, or null. */
  find(caller: string, id: string): Promise<CheckRun | null>;
}

/** The runs of this broker. */
export interface CheckRuns {
  /**
   * Takes one of the places, before anything is built or compiled for the run. Of no effect for a place that is taken.
   *
   * @throws BrokerError `state_conflict` if the caller has a run or another place, `rate_limited` if all are taken
   */
  take(place: Place): void;
  /** Starts a run, for which a place was taken. Resolves once the other brokers know of it, if they can be told. */
  start(place: Place, comparison: Comparison, span: WantedSpan): Promise<CheckRun>;
  /** Gives up a place whose run has not started. Of no effect otherwise. */
  giveUp(place: Place): void;
  /** A run of this caller, here or at another broker. @throws BrokerError `not_found` */
  find(caller: string, id: string): Promise<CheckRun>;
}

/** Opens the runs of a broker. */
export function createRuns({
  checks,
  told,
  clock,
  newId,
  onFault,
}: {
  checks: Pick<Checks, 'run'>;
  told: ToldRuns;
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

  /** While the store takes no writes, this broker alone knows of its runs. */
  async function tell(run: CheckRun): Promise<void> {
    await told.tell(run).catch(() => undefined);
  }

  async function work(run: CheckRun, comparison: Comparison, span: WantedSpan): Promise<void> {
    const advance = (progress: Progress) => {
      run.progress = progress;
    };
    const telling = setInterval(tell, TELL_EVERY_MS, run).unref();
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
      clearInterval(telling);
      await tell(run);
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
    start: async (place, comparison, span) => {
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
      await tell(run);
      work(run, comparison, span).catch(onFault);
      return run;
    },
    find: async (caller, id) => {
      const own = runs.get(id);
      const run = own?.caller === caller ? own : await told.find(caller, id);
      if (run === null) {
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
