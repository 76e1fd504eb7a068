import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/json.ts';
import { type Reply, startTestBroker, type TestBroker, WORKING_HOURS_MS } from '../support/broker.ts';
import { approve, createFlag, propose } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';

let t: TestBroker;
let request: Reply['body'];

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  t.clock.advance(1000);
  request = (await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: 'PAY-1' })).body;
  await approve(t, 'dana-alt', request);
  t.clock.advance(1000);
  await approve(t, 'alex', request);
});

afterAll(() => t.close());

async function list(query = ''): Promise<Reply['body'][]> {
  const { status, body } = await t.call('avery', 'GET', `/v1/decisions?limit=200${query}`);
  expect(status).toBe(200);
  return body.items;
}

describe('the decision log', () => {
  it('tells the story of a request, refusals included, newest first', async () => {
    const story = (await list(`&request=${request.id}`)).map((item) => [
      item.operation,
      item.outcome.effect,
      item.principal.person,
      item.request.from,
      item.request.to,
    ]);
    expect(story).toEqual([
      ['request.apply', 'allow', null, 'pending', 'applied'],
      ['request.approve', 'allow', 'emp-1002', 'pending', 'pending'],
      ['request.approve', 'deny', 'emp-1001', 'pending', 'pending'],
      ['request.propose', 'hold', 'emp-1001', null, 'pending'],
    ]);
  });

  it('numbers its records without a gap, in the order of time', async () => {
    const items = (await list()).toReversed();
    expect(items.map((item) => item.place)).toEqual(items.map((_, index) => index + 1));
    expect(items.map((item) => item.at_ms)).toEqual(items.map((item) => item.at_ms).toSorted());
    expect(items[0]).toMatchObject({ operation: 'policy.activate', outcome: { effect: 'allow' } });
  });

  it.each([
    [
      'flag=checkout',
      (item: Reply['body']) => item.flags.some((move: { flag: string }) => move.flag === 'checkout'),
    ],
    ['principal=emp-1002', (item: Reply['body']) => item.principal.person === 'emp-1002'],
    ['principal=person:demo:alex', (item: Reply['body']) => item.principal.id === 'person:demo:alex'],
    ['operation=request.approve', (item: Reply['body']) => item.operation === 'request.approve'],
    ['outcome=hold', (item: Reply['body']) => item.outcome.effect === 'hold'],
    [
      'outcome=deny&flag=checkout',
      (item: Reply['body']) => item.outcome.effect === 'deny' && item.flags.length > 0,
    ],
    ['environment=production', (item: Reply['body']) => item.environment === 'production'],
    [`from=${WORKING_HOURS_MS + 2000}`, (item: Reply['body']) => item.at_ms >= WORKING_HOURS_MS + 2000],
    [`to=${WORKING_HOURS_MS + 1}`, (item: Reply['body']) => item.at_ms <= WORKING_HOURS_MS],
  ])('is searched by %s: all that fit, and nothing else', async (query, fits) => {
    const before = (await list()).filter(fits).map((item) => item.id);
    const found = await list(`&${query}`);
    expect(before.length).toBeGreaterThan(0);
    expect(found.every(fits)).toBe(true);
    expect(found.map((item) => item.id)).toEqual(expect.arrayContaining(before));
  });

  it('has misspelt environments only where something was denied in them, and knows no name by a read', async () => {
    const read = (who: string) => t.call(who, 'GET', '/v1/decisions?environment=prodction');
    expect((await read('dana')).status).toBe(403);
    const { status, body } = await read('avery');
    expect([status, body.detail]).toEqual([404, expect.stringContaining('Did you mean production?')]);

    expect((await t.call('dana', 'GET', '/v1/access?environment=prodction')).status).toBe(403);
    // What was applied in every environment is found in this one, too.
    const found = (await list('&environment=prodction')).filter((item) => item.environment !== 'production');
    expect(found.map((item) => [item.operation, item.environment])).toEqual([['access.read', 'prodction']]);
    expect((await read('dana')).status).toBe(403);
  });

  it.each([
    'from=soon',
    'to=-1',
    `to=${'9'.repeat(400)}`,
    'operation=request.bless',
    'outcome=yes',
    'request=1',
    'limit=0',
  ])('refuses the query %s', async (query) => {
    const { status, body } = await t.call('avery', 'GET', `/v1/decisions?${query}`);
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_request' });
  });

  it('keeps input and result beside each record, under the digest that the record names', async () => {
    for (const { id } of await list(`&request=${request.id}`)) {
      const { body } = await t.call('avery', 'GET', `/v1/decisions/${id}`);
      const row = readRecords(t.file).find((record) => record.id === id);
      expect(body.input_digest).toBe(`sha256:${sha256Hex(row?.input ?? '')}`);
      expect(body.input.operation).toBe(body.operation);
      expect(body.result.effect).toBe(body.outcome.effect);
    }
  });

  it.each(['dana', 'alex', 'riley', 'morgan'])(
    'is closed to %s, and records that they tried',
    async (who) => {
      const answers = [
        await t.call(who, 'GET', '/v1/decisions'),
        await t.call(who, 'GET', `/v1/decisions/${request.decision_id}`),
      ];
      for (const { status, body } of answers)
        expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
      const [latest] = await list('&operation=decision.read');
      expect(latest.principal.person).toBe('emp-1006');
      const denied = (await list('&operation=decision.read')).filter(
        (item) => item.outcome.effect === 'deny',
      );
      expect(denied.map((item) => item.principal.id)).toContain(`person:demo:${who}`);
    },
  );

  it('records its own reading', async () => {
    const before = await list('&operation=decision.read');
    expect(await list('&operation=decision.read')).toHaveLength(before.length + 1);
  });

  it('ties a record to HTTP request, ticket and CI run', async () => {
    const id = '0190b6ac-0000-7000-8000-000000000001';
    const answer = await t.call(
      await t.workloadToken(),
      'POST',
      '/v1/requests',
      {
        environment: 'production',
        reason: 'x',
        ticket: 'PAY-2',
        changes: [{ action: 'disable', flag: 'checkout' }],
      },
      { 'X-Request-Id': id },
    );
    expect(answer.headers.get('x-request-id')).toBe(id);
    const { body } = await t.call('avery', 'GET', `/v1/decisions/${answer.body.decision_id}`);
    const token = expect.stringMatching(/^jti:/);
    expect(body.correlation).toEqual({
      http_request_id: id,
      ticket: 'PAY-2',
      ci_run: '987654321',
      token,
      origins: [token],
    });
  });

  it('answers an unknown id with not found', async () => {
    for (const id of ['x', '00000000-0000-4000-8000-000000000000', '%00', "'--"]) {
      expect((await t.call('avery', 'GET', `/v1/decisions/${id}`)).body.code).toBe('not_found');
    }
  });
});
