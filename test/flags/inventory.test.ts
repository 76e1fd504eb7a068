import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  const expires_ms = t.clock() + 1000;
  await createFlag(t, 'alpha', { owner: 'team-a', purpose: 'Shows the new Basket.', expires_ms });
  await createFlag(t, 'beta', { owner: 'team-b', tier: 'informational' });
  await createFlag(t, 'gamma', { kind: 'operational', owner: 'team-a' });
  await applyChanges(t, [{ action: 'enable', flag: 'beta' }]);
  await applyChanges(t, [{ action: 'retire', flag: 'gamma' }]);
});

afterAll(() => t.close());

const list = (query: string): Promise<Reply> =>
  t.call('dana', 'GET', `/v1/flags?environment=production${query}`);

it.each([
  ['', ['alpha', 'beta', 'gamma']],
  ['&q=BASKET', ['alpha']],
  ['&q=et', ['alpha', 'beta']],
  ['&q=team-a', ['alpha', 'gamma']],
  ['&q=%25', []],
  ['&owner=team-a', ['alpha', 'gamma']],
  ['&tier=informational', ['beta']],
  ['&kind=operational', ['gamma']],
  ['&enabled=true', ['beta']],
  ['&enabled=false', ['alpha', 'gamma']],
  ['&retired=true', ['gamma']],
  ['&retired=false&owner=team-a', ['alpha']],
  ['&expires_before=2027-01-01', ['alpha']],
  ['&expires_before=2026-01-01', []],
])('the inventory is limited by %s', async (query, wanted) => {
  const { body } = await list(query);
  expect(body.items.map(({ key }: { key: string }) => key)).toEqual(wanted);
  expect(body.next_cursor).toBeNull();
});

it('is the same in pages of one, with any filter', async () => {
  for (const query of ['', '&q=team-a', '&owner=team-a']) {
    const whole = (await list(query)).body.items.map(({ key }: { key: string }) => key);
    const keys: string[] = [];
    let cursor: string | null = null;
    do {
      const { body }: Reply = await list(`${query}&limit=1${cursor === null ? '' : `&cursor=${cursor}`}`);
      keys.push(...body.items.map(({ key }: { key: string }) => key));
      cursor = body.next_cursor;
    } while (cursor !== null);
    expect(keys).toEqual(whole);
  }
});

it.each([
  '&tier=high',
  '&kind=x',
  '&enabled=yes',
  '&retired=1',
  '&expires_before=soon',
  `&q=${'x'.repeat(201)}`,
])('refuses %s', async (query) => {
  expect((await list(query)).body.code).toBe('invalid_request');
});
