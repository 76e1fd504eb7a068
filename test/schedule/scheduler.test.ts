import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readFlag, readRequest } from '../support/flags.ts';
import { readLog } from '../support/log-oracle.ts';
import { passTime } from '../support/pass-time.ts';
import { refuseInserts } from '../support/sqlite/rows.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
});

afterEach(() => t.close());

/** A request that starts in a minute. */
async function scheduled(flag: string): Promise<Reply['body']> {
  await createFlag(t, flag, { tier: 'informational' });
  const { body } = await propose(t, [{ action: 'enable', flag }], { start_ms: t.clock() + 60_000 });
  expect(body.state).toBe('ready');
  return body;
}

describe('the scheduler', () => {
  it('lets a request that cannot be settled wait, and continues with the others', async () => {
    const poisoned = await Promise.all(
      Array.from({ length: 101 }, (_, place) => scheduled(`poisoned-${place}`)),
    );
    const healthy = await scheduled('healthy');
    const heal = refuseInserts(t.file, 'stateVersions', { flagsLike: 'poisoned-%' });
    t.clock.advance(60_000);
    await t.broker.scheduler.tick();
    await t.broker.scheduler.tick();
    expect((await readRequest(t, healthy.id)).state).toBe('applied');
    heal();
    t.clock.advance(60_000);
    await t.broker.scheduler.tick();
    await t.broker.scheduler.tick();
    for (const request of poisoned) expect((await readRequest(t, request.id)).state).toBe('applied');
  });

  it('records an answer that stays the same only once', async () => {
    await t.call('riley', 'POST', '/v1/freezes', {
      scope: 'namespace',
      namespace: 'growth',
      incident: 'I',
      reason: 'x',
    });
    const request = await scheduled('waiting');
    await t.call('riley', 'POST', '/v1/freezes', {
      scope: 'flag',
      flag: 'waiting',
      incident: 'I-2',
      reason: 'x',
    });
    for (let minute = 0; minute < 30; minute += 1) {
      t.clock.advance(60_000);
      await t.broker.scheduler.tick();
    }
    const log = readLog(t.file).filter((entry) => entry.request?.id === request.id);
    expect(log.map((entry) => entry.result.effect)).toEqual(['allow', 'deny']);
    expect((await readFlag(t, 'waiting')).states.production.enabled).toBe(false);
  });

  it('forgets answers for retries after a day, and the requests they made stay', async () => {
    const flag = await createFlag(t, 'retried');
    const body = { environment: 'production', reason: 'x', changes: [{ action: 'enable', flag }] };
    const send = () => t.call('dana', 'POST', '/v1/requests', body, { 'Idempotency-Key': 'k' });
    const first = await send();
    await passTime(t, 26 * 3_600_000);
    const second = await send();
    expect(second.body.id).not.toBe(first.body.id);
    expect((await readRequest(t, first.body.id)).state).toBe('pending');
  });

  it('is the only principal that expires, and nobody can ask for it by name', async () => {
    const request = await scheduled('named');
    expect((await t.call('dana', 'POST', `/v1/requests/${request.id}/expire`)).status).toBe(404);
  });
});
