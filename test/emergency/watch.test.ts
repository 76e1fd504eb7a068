import { expect, it } from 'vitest';
import { freezeHeader, type WatchedFreeze, watchFreezes } from '../../src/emergency/watch.ts';

type Listed = readonly WatchedFreeze[];

const frozen = (incident: string, namespace: string | null = null): Listed => [
  { freeze: { scope: 'all', incident }, place: { environment: null, namespace } },
];

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
  const shown = () => freezeHeader(watch.active(), () => true);
  return { watch, refresh, logged, shown };
}

/** Long enough for what a reading sets off: nothing here waits for anything but promises. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('shows scope and incident, and never more of an incident than a header can take', async () => {
  const { refresh, shown } = await startWatch();
  expect(shown()).toBe('all;incident=I-0');
  refresh().resolve(frozen(`\r\n ${'ü'.repeat(200)}`));
  await settled();
  expect(shown()).toMatch(/^all;incident=%0D%0A%20[%0-9A-F]{91}$/);
});

it('lets no older reading take the place of a newer one, whichever ends first', async () => {
  const { refresh, shown } = await startWatch();
  const [older, newer] = [refresh(), refresh()];
  newer.resolve([]);
  await settled();
  expect(shown()).toBeNull();
  older.resolve(frozen('I-1'));
  await settled();
  expect(shown()).toBeNull();
  refresh().resolve(frozen('I-2'));
  await settled();
  expect(shown()).toBe('all;incident=I-2');
});

it('takes an older reading when the newer one fails', async () => {
  const { refresh, shown } = await startWatch();
  const [older, newer] = [refresh(), refresh()];
  newer.reject(new Error('disk'));
  older.resolve(frozen('I-1'));
  await settled();
  expect(shown()).toBe('all;incident=I-1');
});

it('logs a reading that fails with its cause, and shows what was read last', async () => {
  const { refresh, logged, shown } = await startWatch();
  const fault = new Error('disk');
  refresh().reject(fault);
  await settled();
  expect(logged).toEqual([[{ err: fault }, expect.any(String)]]);
  expect(shown()).toBe('all;incident=I-0');
});

it('does not start without a first reading', async () => {
  const log = { error: () => undefined };
  await expect(watchFreezes({ list: async () => Promise.reject(new Error('disk')), log })).rejects.toThrow(
    'disk',
  );
});

it('shows the freezes in places that the caller may read, and no number of others', () => {
  const active = [...frozen('I-1', 'hidden'), ...frozen('I-2', 'seen'), ...frozen('I-3', 'hidden')];
  expect(freezeHeader(active, ({ namespace }) => namespace === 'seen')).toBe('all;incident=I-2');
  expect(freezeHeader(active, () => false)).toBeNull();
});
