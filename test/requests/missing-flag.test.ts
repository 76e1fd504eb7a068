import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, creation, propose } from '../support/flags.ts';

/* A flag that does not exist, while an open request creates it. */

type Groups = Record<string, Record<string, unknown[]>>;

let t: TestBroker;
let request: Reply['body'];

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data) => {
      const { groups } = (data as { config: { role_bindings: { groups: Groups } } }).config.role_bindings;
      for (const own of Object.values(groups)) {
        own['customer-success'] = [
          { roles: ['flag-deployer', 'flag-reader'], namespaces: ['growth'], environments: ['*'] },
        ];
      }
      return data;
    },
  });
  ({ body: request } = await propose(t, [creation('coming-soon')]));
  expect(request.state).toBe('pending');
});
afterAll(() => t.close());

const enable = [{ action: 'enable', flag: 'coming-soon' }];
const names = () => `The open request ${request.id} creates it`;

describe('an answer about a flag that does not exist', () => {
  it('names the open request that creates it, to who may read that', async () => {
    for (const who of ['dana', 'alex', 'avery']) {
      const read = await t.call(who, 'GET', '/v1/flags/coming-soon');
      expect([read.status, read.body.detail]).toEqual([404, expect.stringContaining(names())]);
    }
    const proposed = await propose(t, enable);
    expect([proposed.status, proposed.body.code]).toEqual([404, 'not_found']);
    expect(proposed.body.detail).toContain(names());
    expect(proposed.body.errors).toMatchObject([{ pointer: '#/changes/0/flag' }]);
    const planned = await t.call('dana', 'POST', '/v1/policy/explain', {
      plan: { environment: 'production', changes: enable, reason: 'x' },
    });
    expect([planned.status, planned.body.detail]).toEqual([404, expect.stringContaining(names())]);
  });

  it('says nothing of it to others', async () => {
    const { body: hidden } = await propose(
      t,
      [creation('growth-soon', { namespace: 'growth' })],
      {},
      'casey',
    );
    const strangers = [
      await t.call('dana', 'GET', '/v1/flags/growth-soon'),
      await propose(t, [{ action: 'enable', flag: 'growth-soon' }]),
      await t.call('casey', 'GET', '/v1/flags/coming-soon'),
    ];
    for (const { body } of strangers) {
      expect(JSON.stringify(body)).not.toContain('open request');
      expect(JSON.stringify(body)).not.toContain(hidden.id ?? 'none');
    }
  });

  it('names none that is closed, that only touches the flag, or where there is none', async () => {
    const missing = await t.call('dana', 'GET', '/v1/flags/coming-never');
    expect(missing.body.detail).toBe('There is no flag "coming-never" that you may see.');
    const { body: other } = await propose(t, [creation('withdrawn-soon')]);
    await t.call('dana', 'POST', `/v1/requests/${other.id}/withdraw`, {});
    expect((await t.call('dana', 'GET', '/v1/flags/withdrawn-soon')).body.detail).toBe(
      'There is no flag "withdrawn-soon" that you may see.',
    );
    await approve(t, 'alex', request);
    expect((await t.call('dana', 'GET', '/v1/flags/coming-soon')).status).toBe(200);
  });
});
