import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../errors.ts';
import type { ProblemCode } from '../../problems.ts';
import { findToldRun, tellRun } from '../../store/check-runs.ts';
import type { Store } from '../../store/store.ts';
import type { CheckRun, ToldRuns } from './runs.ts';

/** A run of which nothing new was told for so long, while this broker watched, has ended with its broker. */
const SILENT_MS = 60_000;
/** More runs at once are not watched: each broker runs few. */
const MAX_WATCHED = 100;

/** What is stored of a run. */
type Told = Pick<CheckRun, 'started_ms' | 'ended_ms' | 'progress'> & {
  done: Exclude<CheckRun['outcome'], BrokerError>;
  fault: { code: ProblemCode; detail: string } | null;
};

/**
 * Tells other brokers of runs, and finds theirs, by the database that they share. The times of two machines are not compared.
 *
 * @param deps.nowMs a clock that nobody sets
 */
export function createToldRuns({
  store: { writer, read },
  clock,
  nowMs = () => performance.now(),
}: {
  store: Pick<Store, 'writer' | 'read'>;
  clock: Clock;
  nowMs?: () => number;
}): ToldRuns {
  /** What was found last of runs that had not ended, by id, and since when it has been the same. */
  const watched = new Map<string, { told_ms: number; sinceMs: number }>();

  function isSilent(id: string, told_ms: number): boolean {
    const known = watched.get(id);
    if (known?.told_ms === told_ms) return nowMs() - known.sinceMs > SILENT_MS;
    watched.delete(id);
    watched.set(id, { told_ms, sinceMs: nowMs() });
    const [oldest] = watched.keys();
    if (watched.size > MAX_WATCHED && oldest !== undefined) watched.delete(oldest);
    return false;
  }

  return {
    tell: async ({ id, caller, outcome, ...run }) => {
      const told: Told = {
        ...run,
        done: outcome instanceof BrokerError ? null : outcome,
        fault: outcome instanceof BrokerError ? faultOf(outcome) : null,
      };
      await writer.write((tx) => tellRun(tx, { caller, id, body: JSON.stringify(told), told_ms: clock() }));
    },
    find: async (caller, id) => {
      const found = await findToldRun(read, { caller, id });
      if (found === null) return null;
      const { done, fault, ...run } = JSON.parse(found.body) as Told;
      const refusal = fault === null ? null : new BrokerError(fault.code, fault.detail);
      const outcome = done ?? refusal ?? (isSilent(id, found.told_ms) ? ended() : null);
      return { id, caller, ...run, outcome };
    },
  };
}

/** Why a run ended without a report, in one text. */
export function faultOf({ code, message, fields }: BrokerError): { code: ProblemCode; detail: string } {
  const details = (fields.errors ?? []).map(({ detail }) => detail);
  return { code, detail: [message, ...details].join(' ') };
}

function ended(): BrokerError {
  return new BrokerError('state_conflict', 'The broker that ran these checks has ended: start them again.');
}
