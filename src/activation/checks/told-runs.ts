import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../errors.ts';
import type { ProblemCode } from '../../problems.ts';
import { findToldRun, tellRun } from '../../store/check-runs.ts';
import type { Store } from '../../store/store.ts';
import type { CheckRun, ToldRuns } from './runs.ts';

/** A run of which nothing was told for so long has ended with its broker. */
const SILENT_MS = 60_000;

/** What is stored of a run. */
type Told = Pick<CheckRun, 'started_ms' | 'ended_ms' | 'progress'> & {
  done: Exclude<CheckRun['outcome'], BrokerError>;
  fault: { code: ProblemCode; detail: string } | null;
};

/** Tells other brokers of runs, and finds theirs, by the database that they share. */
export function createToldRuns({
  store: { writer, read },
  clock,
}: {
  store: Pick<Store, 'writer' | 'read'>;
  clock: Clock;
}): ToldRuns {
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
      const outcome = done ?? refusal ?? (clock() - found.told_ms > SILENT_MS ? ended() : null);
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
