import type { TestBroker } from './broker.ts';

const STEP_MS = 30 * 60_000;

/** Lets time pass as it does for a broker that runs: the scheduler looks again and again, and records are written. */
export async function passTime(t: TestBroker, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= STEP_MS) {
    t.clock.advance(Math.min(left, STEP_MS));
    await record(t);
    await t.broker.scheduler.tick();
  }
}

/** Has a record of the present time written. */
export async function record(t: TestBroker): Promise<number> {
  return (await t.call('avery', 'GET', '/v1/decisions?limit=1')).status;
}
