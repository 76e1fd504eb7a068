import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'counted.flag');
});
afterAll(() => t.close());

/** The value of one sample of the Prometheus text, or 0 where it was never counted. */
async function sample(name: string): Promise<number> {
  const text = await (await fetch(`${t.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

it('decisions are counted by operation and effect, once they are durable', async () => {
  const held = 'countersign_decisions_total{operation="request.propose",effect="hold"}';
  const denied = 'countersign_decisions_total{operation="request.propose",effect="deny"}';
  const before = [await sample(held), await sample(denied)];
  expect((await propose(t, [{ action: 'enable', flag: 'counted.flag' }])).status).toBe(201);
  expect((await propose(t, [{ action: 'enable', flag: 'counted.flag' }], {}, 'avery')).status).toBe(403);
  expect([await sample(held), await sample(denied)]).toEqual(before.map((count) => count + 1));
});

it('open requests and freezes are shown as they are now', async () => {
  const pending = 'countersign_open_requests{state="pending"}';
  const before = await sample(pending);
  const { body } = await propose(t, [{ action: 'enable', flag: 'counted.flag' }]);
  expect(await sample(pending)).toBe(before + 1);
  await t.call('dana', 'POST', `/v1/requests/${body.id}/withdraw`);
  expect(await sample(pending)).toBe(before);
  const order = { scope: 'flag', flag: 'another.flag', yet_unknown: true, incident: 'INC-1', reason: 'x' };
  expect((await t.call('riley+mfa', 'POST', '/v1/freezes', order)).status).toBe(201);
  await expect.poll(() => sample('countersign_active_freezes')).toBe(1);
});

it('answers are timed by status class, and unauthenticated calls are counted', async () => {
  const refused = 'countersign_http_request_duration_seconds_count{status="4xx"}';
  const strangers = 'countersign_unauthenticated_total{code="unauthenticated"}';
  const before = [await sample(refused), await sample(strangers)];
  expect((await t.call(null, 'GET', '/v1/requests')).status).toBe(401);
  expect([await sample(refused), await sample(strangers)]).toEqual(before.map((count) => count + 1));
});

it('reads of flags are counted by kind and status class', async () => {
  const names = [
    'countersign_evaluations_total{kind="single",status="2xx"}',
    'countersign_evaluations_total{kind="single",status="4xx"}',
    'countersign_evaluations_total{kind="bulk",status="2xx"}',
    'countersign_evaluations_total{kind="bulk",status="3xx"}',
  ];
  const samples = () => Promise.all(names.map(sample));
  const before = await samples();
  const token = await t.workloadToken('checkout', { audience: 'data:production' });
  const all = '/ofrep/v1/evaluate/flags';
  for (const path of [`${all}/counted.flag`, `${all}/counted.flag`, `${all}/none`, all])
    await t.call(token, 'POST', path, {});
  const { headers } = await t.call(token, 'POST', all, {});
  await t.call(token, 'POST', all, {}, { 'if-none-match': headers.get('etag') ?? '' });
  await t.call(null, 'POST', `${all}/counted.flag`, {});
  expect(await samples()).toEqual(before.map((count, place) => count + ([2, 2, 2, 1][place] ?? 0)));
});
