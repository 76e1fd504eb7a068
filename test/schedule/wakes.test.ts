import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findRequest } from '../../src/store/requests.ts';
import { findWake } from '../../src/store/wakes.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readRequest } from '../support/flags.ts';
import { readLog } from '../support/log-oracle.ts';
import { refuseInserts } from '../support/sqlite/rows.ts';

/*
 * What waits because of a freeze is decided again once the freeze is lifted: that and nothing else, a few at a time, and
 * behind what is scheduled.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await t.close();
});

async function freeze(scope: Record<string, unknown>): Promise<string> {
  const { status, body } = await t.call('riley', 'POST', '/v1/freezes', {
    ...scope,
    incident: 'I',
    reason: 'x',
  });
  expect(status).toBe(201);
  return body.id;
}

/** Lifts a freeze, without the scheduler. */
async function lift(id: string): Promise<void> {
  const { body } = await t.call('riley', 'POST', '/v1/requests', {
    kind: 'freeze.lift',
    freeze: id,
    reason: 'it is over',
  });
  expect((await approve(t, 'sam', body)).body.state).toBe('applied');
}

/** A request that starts in a minute. */
async function scheduled(flag: string, environment = 'production'): Promise<Reply['body']> {
  const { body } = await propose(t, [{ action: 'enable', flag }], {
    start_ms: t.clock() + 60_000,
    environment,
  });
  expect(body.state).toBe('ready');
  return body;
}

const appliedInOrder = () =>
  readLog(t.file).flatMap(({ request }) => (request?.to === 'applied' ? [request.id] : []));

it('a lift wakes what that freeze held back: not what another freeze or nobody holds back', async () => {
  for (const flag of ['one', 'other', 'free']) await createFlag(t, flag, { tier: 'informational' });
  await createFlag(t, 'guarded');
  const [one, other] = [await scheduled('one'), await scheduled('other')];
  const first = await freeze({ scope: 'flag', flag: 'one' });
  await freeze({ scope: 'flag', flag: 'other' });
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  const free = await scheduled('free');
  const { body: guarded } = await propose(t, [{ action: 'enable', flag: 'guarded' }]);
  expect(guarded.state).toBe('pending');
  const others = [other, free, guarded].map(({ id }) => id);
  const rows = () => Promise.all(others.map((id) => findRequest(t.broker.store.read, id)));
  const before = await rows();
  await lift(first);

  const writes = vi.spyOn(t.broker.store.writer, 'write');
  await t.broker.scheduler.tick();
  expect((await readRequest(t, one.id)).state).toBe('applied');
  expect(await rows()).toEqual(before);
  // The request, its receipt, the place of the wake, its end, and the report of uses.
  expect(writes).toHaveBeenCalledTimes(5);
  expect(await findWake(t.broker.store.read)).toBeUndefined();
});

it('a request that two freezes hold back waits for the lift of both, with one record', async () => {
  await createFlag(t, 'plain', { tier: 'informational' });
  const { id } = await scheduled('plain');
  const freezes = [await freeze({ scope: 'flag', flag: 'plain' })];
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  // Engaged after the decision, so only the second decision meets it.
  freezes.push(await freeze({ scope: 'all' }));
  for (const each of freezes) {
    expect(await readRequest(t, id)).toMatchObject({ state: 'ready', gates: [{ code: 'frozen' }] });
    await lift(each);
    await t.broker.scheduler.tick();
  }
  expect((await readRequest(t, id)).state).toBe('applied');
  const effects = readLog(t.file).filter(({ request }) => request?.id === id);
  expect(effects.map(({ result }) => result.effect)).toEqual(['allow', 'deny', 'allow']);
});

it('hundreds that were held back go behind what is due, one small batch at most before it', async () => {
  const held: string[] = [];
  for (let each = 0; each < 60; each += 1) {
    await createFlag(t, `held-${each}`, { tier: 'informational' });
    held.push((await scheduled(`held-${each}`, 'staging')).id);
  }
  await createFlag(t, 'due', { tier: 'informational' });
  const id = await freeze({ scope: 'environment', environment: 'staging' });
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  const due = await scheduled('due');
  t.clock.advance(60_000 - 1);
  await lift(id);
  t.clock.advance(1);
  await t.broker.scheduler.tick();
  const applied = appliedInOrder().filter((each) => each === due.id || held.includes(each));
  expect(applied[0]).toBe(due.id);
  expect(applied.slice(1).toSorted()).toEqual(held.toSorted());
});

it('what was to be woken is woken after a restart, also behind one that cannot be settled', async () => {
  const held: string[] = [];
  for (const flag of ['poisoned-1', 'sound-1', 'poisoned-2', 'sound-2']) {
    await createFlag(t, flag, { tier: 'informational' });
    held.push((await scheduled(flag)).id);
  }
  const id = await freeze({ scope: 'all' });
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  await lift(id);
  await t.restart();
  const heal = refuseInserts(t.file, 'stateVersions', { flagsLike: 'poisoned-%' });
  await t.broker.scheduler.tick();
  const states = async () => Promise.all(held.map(async (each) => (await readRequest(t, each)).state));
  expect(await states()).toEqual(['ready', 'applied', 'ready', 'applied']);
  heal();
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  expect(await states()).toEqual(['applied', 'applied', 'applied', 'applied']);
});
