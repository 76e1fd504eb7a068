import { expect, it } from 'vitest';
import { logWatch } from '../../src/schedule/log-watch.ts';

it('a comparison that fails is logged, ends nothing, and is tried again', async () => {
  let nowMs = 0;
  let compared = 0;
  const errors: unknown[] = [];
  const job = logWatch({
    look: async () => undefined,
    compare: async () => {
      compared += 1;
      throw new Error('database disk image is malformed');
    },
    clock: () => nowMs,
    log: { error: (...said: unknown[]) => errors.push(said) } as never,
  });
  for (let round = 1; round <= 2; round += 1) {
    nowMs += 10 * 60 * 1000;
    await job.run();
    // A rejection that nobody handles would end the process, and fails this test.
    await job.rest?.();
    expect([compared, errors.length]).toEqual([round, round]);
  }
});
