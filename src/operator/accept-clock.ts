import { acceptClock, batchOf, clockFault } from '../store/batch.ts';
import { closeSessionsAfter } from '../store/emergency.ts';
import { makeAllDue } from '../store/requests.ts';
import { endBrowserSessionsAfter } from '../store/sessions.ts';
import { type ActDeps, ActRefused, recordAct } from './act.ts';

/** An accepted clock. */
export interface AcceptedClock {
  /** The id of its record. */
  decision_id: string;
  /** The time of the last record before, and the time of this one: epoch milliseconds. */
  last_ms: number;
  at_ms: number;
}

/**
 * Accepts a clock that is behind the last record, because that record was written while the clock was ahead. From then on
 * records have the present time. Sessions that were opened or used in the future end: they would come back to life.
 *
 * @throws ActRefused if the clock is not behind
 * @throws BrokerError `restored_copy`, `not_recorded`
 */
export function acceptBehindClock(
  { store, clock, newId }: ActDeps,
  order: { reason: string },
): Promise<AcceptedClock> {
  return store.writer.write(async (tx) => {
    const { last_ms } = batchOf(tx).head;
    if (clockFault({ last_ms }, clock()) === null)
      throw new ActRefused('The clock is not behind the last record, so there is nothing to accept.');
    const at_ms = acceptClock(tx);
    const decision_id = newId(at_ms);
    await closeSessionsAfter(tx, at_ms);
    await endBrowserSessionsAfter(tx, at_ms);
    // What was postponed while the clock was ahead would wait for that time.
    await makeAllDue(tx, at_ms);
    await recordAct(tx, {
      id: decision_id,
      at_ms,
      operation: 'clock.accept',
      because: {
        code: 'clock_accepted',
        detail: `An operator accepted the clock, ${Math.ceil((last_ms - at_ms) / 1000)} seconds behind the previous record.`,
      },
      note: { code: 'clock_accepted', detail: order.reason },
    });
    return { decision_id, last_ms, at_ms };
  });
}
