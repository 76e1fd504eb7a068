import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, creation } from '../support/flags.ts';

let t: TestBroker;

/** The shipped policy, with developers who may change flags in every namespace. */
function withWideDevelopers(data: unknown): unknown {
  const edited = data as {
    config: { role_bindings: { groups: Record<string, Record<string, { namespaces: string[] }[]>> } };
  };
  for (const groups of Object.values(edited.config.role_bindings.groups)) {
    for (const binding of groups['payments-developers'] ?? []) binding.namespaces = ['*'];
  }
  return edited;
}

beforeAll(async () => {
  t = await startTestBroker({ editData: withWideDevelopers });
  for (const [flag, namespace] of [
    ['of-payments', 'payments'],
    ['of-platform', 'platform'],
  ] as const) {
    await applyChanges(t, [creation(flag, { namespace, tier: 'informational' }), { action: 'enable', flag }]);
  }
});

afterAll(async () => {
  await t.close();
});

it('a service reads the flags of the namespaces that its trust rule grants, and finds no others', async () => {
  const token = await t.workloadToken('checkout', { audience: 'data:production' });
  const ask = async (path: string) => t.call(token, 'POST', `/ofrep/v1/evaluate/flags${path}`, {});
  const all = await ask('');
  expect(all.body.metadata).toEqual({ environment: 'production' });
  expect(all.body.flags.map(({ key }: { key: string }) => key)).toEqual(['of-payments']);
  expect(await ask('/of-payments')).toMatchObject({ status: 200, body: { variant: 'on' } });
  const [other, none] = [await ask('/of-platform'), await ask('/of-nothing')];
  expect([other.status, none.status]).toEqual([404, 404]);
  expect({ ...other.body, key: '' }).toEqual({ ...none.body, key: '' });
});

it('a service learns nothing of changes in other namespaces from the answer for all flags', async () => {
  const token = await t.workloadToken('checkout', { audience: 'data:production' });
  const ask = () => t.call(token, 'POST', '/ofrep/v1/evaluate/flags', {});
  const before = await ask();
  await applyChanges(t, [{ action: 'disable', flag: 'of-platform' }]);
  const after = await ask();
  expect(after.body).toEqual(before.body);
  expect(after.headers.get('etag')).toBe(before.headers.get('etag'));
  await applyChanges(t, [{ action: 'disable', flag: 'of-payments' }]);
  expect((await ask()).headers.get('etag')).not.toBe(before.headers.get('etag'));
});

it('a service gets definitions for flagd of the same flags, and of no other environment', async () => {
  const token = await t.workloadToken('checkout', { audience: 'data:production' });
  const ask = (path: string, headers = {}) => t.call(token, 'GET', path, undefined, headers);
  const before = await ask('/flagd/v1/production.json');
  expect(before.status).toBe(200);
  expect(before.headers.get('content-type')).toMatch(/^application\/json/);
  expect(Object.keys(before.body.flags)).toEqual(['of-payments']);
  expect(before.body.metadata).toEqual({ flagSetId: 'production' });

  await applyChanges(t, [{ action: 'enable', flag: 'of-platform' }]);
  const tag = before.headers.get('etag') ?? '';
  expect((await ask('/flagd/v1/production.json', { 'if-none-match': tag })).status).toBe(304);
  await applyChanges(t, [{ action: 'enable', flag: 'of-payments' }]);
  const after = await ask('/flagd/v1/production.json', { 'if-none-match': tag });
  expect(after).toMatchObject({ status: 200, body: { flags: { 'of-payments': { defaultVariant: 'on' } } } });

  const [other, none] = [await ask('/flagd/v1/staging.json'), await ask('/flagd/v1/nowhere.json')];
  expect([other.status, none.status]).toEqual([404, 404]);
  expect({ ...other.body, instance: '' }).toEqual({ ...none.body, instance: '' });
  expect((await t.call(null, 'GET', '/flagd/v1/production.json')).status).toBe(401);
});
