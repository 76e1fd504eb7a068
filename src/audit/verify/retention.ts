import type { BrokerEventName } from '../../operations.ts';
import { MeaningFault } from './fault.ts';
import type { LogRecord } from './leaf.ts';

type What = NonNullable<LogRecord['retention']>['what'];

/** The records that take something old out of the database. */
const OPERATION_OF: Readonly<Record<What, BrokerEventName>> = {
  inputs: 'inputs.archived',
  evaluations: 'evaluations.deleted',
};

/** What was taken out of the database beside the log, as its records say. */
export interface RetentionSoFar {
  /** @throws MeaningFault if something is taken out twice, or before it is there */
  take(record: LogRecord): void;
  /** How many inputs, or rows, were taken out. */
  count(what: What): number;
}

/** Starts at the beginning of a log. */
export function followRetention(): RetentionSoFar {
  const taken: Record<What, { to: number; count: number }> = {
    inputs: { to: 0, count: 0 },
    evaluations: { to: 0, count: 0 },
  };
  return {
    take: ({ place, operation, effect, retention }) => {
      if (retention === undefined) {
        if (Object.values<string>(OPERATION_OF).includes(operation))
          throw new MeaningFault('change_not_allowed', place, `${operation} does not say what it took out`);
        return;
      }
      const { what, from_place: from, to_place: to, count, digest } = retention;
      if (operation !== OPERATION_OF[what] || effect !== 'allow')
        throw new MeaningFault(
          'change_not_allowed',
          place,
          `it takes out ${what} by ${operation}, ${effect}`,
        );
      const before = taken[what];
      const isAfter = from === before.to + 1 && to >= from && to < place;
      const isWhole = what === 'evaluations' || (digest !== null && count <= to - from + 1);
      if (!isAfter || !isWhole)
        throw new MeaningFault(
          'retention_other',
          place,
          `it takes out ${count} ${what} of the records ${from} to ${to}, and those up to ${before.to} were before`,
        );
      taken[what] = { to, count: before.count + count };
    },
    count: (what) => taken[what].count,
  };
}
