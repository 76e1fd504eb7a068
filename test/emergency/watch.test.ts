import { expect, it } from 'vitest';
import { watchFreezes } from '../../src/emergency/watch.ts';

type Listed = { scope: string; incident: string }[];

const frozen = (incident: string): Listed => [{ scope: 'all', incident }];

/** A watch over a store that answers when the test says so, in the order that the test chooses. */
async function startWatch() {
  const readings = [Promise.withResolvers<Listed>()];
  readings[0]?.resolve(frozen('I-0'));
  const waiting = [...readings];
  const logged: [object, string][] = [];
  const watch = await watchFreezes({
    list: () => (waiting.shift() ?? Promise.withResolvers<Listed>()).promise,
    log: { error: (...line) => logged.push(line) },
  });
  /** Begins a reading. */
  const refresh = () => {
    const reading = Promise.withResolvers<Listed>();
    waiting.push(reading);
    watch.refresh();
    return reading;
  };
  return { watch, refresh, logged };
}

/** Long enough for what a reading sets off: nothing here waits for anything but promises. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('shows scope and incident, and never more of an incident than a header can take', async () => {
  const { watch, refresh } = await startWatch();
  expect(watch.active()).toEqual(['all;incident=I-0']);
  refresh().resolve(frozen(`\r\n ${'ü'.repeat(200)}`));
  await settled();
  expect(watch.active()).toEqual([expect.stringMatching(/^all;incident=%0D%0A%20[%0-9A-F]{91}$/)]);
});

it('lets no older reading take the place of a newer one, whichever ends first', async () => {
  const { watch, refresh } = await startWatch();
  const [older, newer] = [refresh(), refresh()];
  newer.resolve([]);
  await settled();
  expect(watch.active()).toEqual([]);
  older.resolve(frozen('I-1'));
  await settled();
  expect(watch.active()).toEqual([]);
  refresh().resolve(frozen('I-2'));
  await settled();
  expect(watch.active()).toEqual(['all;incident=I-2']);
});

it('takes an older reading when the newer one fails', async () => {
  const { watch, refresh } = await startWatch();
  const [older, newer] = [refresh(), refresh()];
  newer.reject(new Error('disk'));
  older.resolve(frozen('I-1'));
  await settled();
  expect(watch.active()).toEqual(['all;incident=I-1']);
});

it('logs a reading that fails with its cause, and shows what was read last', async () => {
  const { watch, refresh, logged } = await startWatch();
  const fault = new Error('disk');
  refresh().reject(fault);
  await settled();
  expect(logged).toEqual([[{ err: fault }, expect.any(String)]]);
  expect(watch.active()).toEqual(['all;incident=I-0']);
});

it('does not start without a first reading', async () => {
  const log = { error: () => undefined };
  await expect(watchFreezes({ list: async () => Promise.reject(new Error('disk')), log })).rejects.toThrow(
    'disk',
  );
});
