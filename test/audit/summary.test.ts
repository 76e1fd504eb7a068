import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker, WORKING_HOURS_MS } from '../support/broker.ts';
import { approve, createFlag, propose, TICKET } from '../support/flags.ts';

const DAY_MS = 86_400_000;

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

const summary = (query = '', who = 'avery'): Promise<Reply> =>
  t.call(who, 'GET', `/v1/audit/summary${query}`);

it('counts by day what was applied, held and denied, and how long it waited', async () => {
  const today = Math.floor(WORKING_HOURS_MS / DAY_MS) * DAY_MS;
  for (const flag of ['one', 'two', 'three']) await createFlag(t, flag);
  const requests = [];
  for (const flag of ['one', 'two', 'three']) {
    requests.push((await propose(t, [{ action: 'enable', flag }], { ticket: TICKET })).body);
  }
  t.clock.advance(DAY_MS);
  for (const minutes of [10, 20, 40]) {
    const request = requests.shift();
    t.clock.advance(minutes * 60_000);
    expect((await approve(t, 'alex', request)).body.state).toBe('applied');
  }
  expect(
    (
      await approve(t, 'avery', {
        id: '01a00000-0000-7000-8000-000000000000',
        digest: `sha256:${'0'.repeat(64)}`,
      })
    ).status,
  ).toBe(404);
  await t.call('avery', 'POST', '/v1/freezes', { scope: 'all', incident: 'INC', reason: 'x' });
  const { status, body } = await summary();
  expect(status).toBe(200);
  expect(body.days).toHaveLength(31);
  const [yesterday, day] = body.days.slice(-2);
  // Every number is also what the lists have.
  const listed = async (query: string) =>
    (await t.call('avery', 'GET', `/v1/decisions?limit=200&${query}`)).body.items;
  const ofDay = async (outcome: string, from: number) =>
    (await listed(`outcome=${outcome}&from=${from}&to=${from + DAY_MS}`)).length;
  expect(yesterday).toMatchObject({
    from_ms: today,
    applied: 3,
    held: await ofDay('hold', today),
    denied: 0,
  });
  expect(day).toEqual({
    ...{
      from_ms: today + DAY_MS,
      applied: 3,
      held: await ofDay('hold', today + DAY_MS),
      denied: await ofDay('deny', today + DAY_MS),
    },
    ...{ median_wait_ms: DAY_MS + 30 * 60_000, longest_wait_ms: DAY_MS + 70 * 60_000 },
  });
  expect(yesterday.held).toBeGreaterThan(0);
  expect(day.denied).toBeGreaterThan(0);
  const [only] = (await summary(`?from=${today}&to=${today + 1}`)).body.days;
  expect(only).toEqual(yesterday);
});

it('is for those who may read the log, and of a year at most', async () => {
  expect((await summary('', 'dana')).body.code).toBe('policy_denied');
  for (const query of ['?from=1970-01-01', '?from=2026-11-19&to=2026-11-18', '?from=x', '?until=1']) {
    expect((await summary(query)).body.code).toBe('invalid_request');
  }
});
