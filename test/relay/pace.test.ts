import { expect, it } from 'vitest';
import { createPause } from '../../src/relay/pace.ts';

it('a pause is cut short by what woke it before it began, once', async () => {
  const pause = createPause();
  const ending = new AbortController();
  pause.wake();
  await pause.sleep(3_600_000, ending.signal);
  let isOver = false;
  const next = pause.sleep(3_600_000, ending.signal).then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  expect(isOver).toBe(false);
  pause.wake();
  await next;
});
