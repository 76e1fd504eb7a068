import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { readerToken } from '../support/snapshots.ts';

let t: TestBroker;

const ON = { variant: 'on', percent: 40 };
const ROLLOUT = [ON, { variant: 'off', percent: 60 }];
const some = (organizations: string[], users: unknown[] = []) => ({ kind: 'some', organizations, users });
const rule = (attribute: string, values: string[]) => ({
  ...{ name: `by ${attribute}`, when: [{ attribute, operator: 'in', values }], serve: { variant: 'on' } },
});

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data) => {
      const { config } = data as {
        config: { role_bindings: { groups: Record<string, Record<string, { namespaces: string[] }[]>> } };
      };
      for (const groups of Object.values(config.role_bindings.groups))
        for (const binding of groups['payments-developers'] ?? [])
          binding.namespaces = ['payments', 'search'];
      return data;
    },
  });
  const enabled = async (flag: string, changes: object[], definition: Record<string, unknown> = {}) => {
    await createFlag(t, flag, definition);
    t.clock.advance(1000);
    await applyChanges(t, [{ action: 'enable', flag }, ...changes.map((change) => ({ flag, ...change }))]);
  };
  await createFlag(t, 'a-disabled');
  await enabled('b-everybody', []);
  const exception = { reason: 'a pilot', approved_by: 'casey', until_ms: t.clock() + 86_400_000 };
  await enabled('c-named', [{ action: 'set_audience', audience: some(['acme'], [{ id: 'u1', exception }]) }]);
  await enabled('d-rule', [
    { action: 'set_rollout', rollout: ROLLOUT, rules: [rule('organization', ['acme', 'globex'])] },
  ]);
  await enabled('e-rollout', [{ action: 'set_rollout', rollout: ROLLOUT, rules: [rule('plan', ['gold'])] }]);
  await enabled('f-elsewhere', [{ action: 'set_audience', audience: some(['initech']) }], {
    namespace: 'search',
  });
});

afterAll(() => t.close());

const list = async (path: string, who = 'dana'): Promise<Reply['body'][]> => {
  const { status, body } = await t.call(who, 'GET', path);
  expect({ status, path }).toEqual({ status: 200, path });
  return body.items;
};
const flagsOf = (organization: string, who = 'dana') =>
  list(`/v1/organizations/${organization}/flags?environment=production`, who);

it('shows each flag as applications of the organization are served it, and why', async () => {
  const token = await readerToken(t);
  for (const organization of ['acme', 'globex', 'org-1', 'org-2', 'org-3', 'org-4']) {
    const seen = await flagsOf(encodeURIComponent(organization));
    expect(seen.map(({ key }) => key)).toEqual([
      'a-disabled',
      'b-everybody',
      'c-named',
      'd-rule',
      'e-rollout',
      'f-elsewhere',
    ]);
    // The application reads one namespace.
    for (const { key, variant, value } of seen.slice(0, -1)) {
      const context = { organization };
      const { body } = await t.call(token, 'POST', `/ofrep/v1/evaluate/flags/${key}`, { context });
      expect({ key, organization, variant, value }).toEqual({
        key,
        organization,
        variant: body.variant,
        value: body.value,
      });
    }
  }
  expect(
    (await flagsOf('acme')).map(({ why, rule: name, named, conditional }) => [why, name, named, conditional]),
  ).toEqual([
    ['disabled', null, false, false],
    ['default', null, false, false],
    ['default', null, true, true],
    ['rule', 'by organization', true, false],
    ['rollout', null, false, true],
    ['not_in_audience', null, false, false],
  ]);
  const [, , named, , rollout] = await flagsOf('acme');
  expect(named?.exceptions).toMatchObject([{ user: 'u1', reason: 'a pilot', approved_by: 'casey' }]);
  expect(rollout?.variant).toBe((rollout?.bucket ?? 100) < 40 ? 'on' : 'off');
});

it('finds the organizations that flags name, in pages, by a part of the name', async () => {
  const named = (query: string, who?: string) =>
    list(`/v1/organizations?environment=production${query}`, who).then((items) =>
      items.map(({ organization }) => organization),
    );
  expect(await named('')).toEqual(['acme', 'globex', 'initech']);
  expect(await named('&q=LOB')).toEqual(['globex']);
  expect(await named('&q=%25')).toEqual([]);
  const first = (await t.call('dana', 'GET', '/v1/organizations?environment=production&limit=2')).body;
  const rest = `/v1/organizations?environment=production&limit=2&cursor=${first.next_cursor}`;
  expect((await t.call('dana', 'GET', rest)).body).toEqual({
    items: [{ organization: 'initech' }],
    next_cursor: null,
  });
  expect(await list('/v1/organizations?environment=staging')).toEqual([]);
  // Only what is named where the caller may read.
  expect(await named('', 'alex')).toEqual(['acme', 'globex']);
  expect((await flagsOf('initech', 'alex')).map(({ key }) => key)).not.toContain('f-elsewhere');
});

it('lists what has changed for an organization, newest first, and nothing else', async () => {
  const changes = (organization: string, query = '', who = 'dana') =>
    list(`/v1/organizations/${organization}/changes?environment=production${query}`, who);
  expect((await changes('acme')).map(({ flag, named, after }) => [flag, named, after.value])).toEqual([
    ...((await flagsOf('acme')).find(({ key }) => key === 'e-rollout')?.value === true
      ? [['e-rollout', 'no', true]]
      : []),
    ['d-rule', 'added', true],
    ['c-named', 'added', true],
    ['b-everybody', 'no', true],
  ]);
  expect((await changes('initech', '', 'alex')).map(({ flag }) => flag)).not.toContain('f-elsewhere');
  expect((await changes('initech')).map(({ flag }) => flag)).toContain('f-elsewhere');
  t.clock.advance(1000);
  const since = t.clock();
  const request = await applyChanges(t, [
    { action: 'set_audience', flag: 'c-named', audience: some(['globex']) },
  ]);
  const [removed, ...others] = await changes('acme', `&since=${since}`);
  expect(others).toEqual([]);
  expect(removed).toMatchObject({
    ...{ flag: 'c-named', named: 'removed', before: { value: true }, after: { value: false } },
    ...{ request_id: request.id, decision_id: request.decision_id, at_ms: t.clock() },
  });
  const history = await list('/v1/flags/c-named/versions?environment=production');
  expect(removed?.version).toBe(history[0]?.version);
  // In pages of one it is the same.
  const paged: unknown[] = [];
  let path: string | null = '/v1/organizations/acme/changes?environment=production&limit=1';
  while (path !== null) {
    const { body, headers }: Reply = await t.call('dana', 'GET', path);
    paged.push(...body.items);
    path = /^<([^>]+)>/.exec(headers.get('link') ?? '')?.[1] ?? null;
  }
  expect(paged).toEqual(await changes('acme'));
});

it('finds the flags whose key contains a text, page by page', async () => {
  const paged = '/v1/organizations/acme/flags?environment=production&limit=1';
  const keys = async (query: string, who = 'dana') =>
    (await list(`/v1/organizations/acme/flags?environment=production&q=${query}`, who)).map(({ key }) => key);
  expect(await keys('E-')).toEqual(['e-rollout']);
  expect(await keys('NAM')).toEqual(['c-named']);
  expect(await keys('%25')).toEqual([]);
  // What may not be read is not found either.
  expect(await keys('elsewhere')).toEqual(['f-elsewhere']);
  expect(await keys('elsewhere', 'alex')).toEqual([]);
  const { body } = await t.call('dana', 'GET', `${paged}&q=ed`);
  expect(body.items.map(({ key }: { key: string }) => key)).toEqual(['a-disabled']);
  const next = await t.call('dana', 'GET', `${paged}&q=ed&cursor=${body.next_cursor}`);
  expect(next.body.items.map(({ key }: { key: string }) => key)).toEqual(['c-named']);
  expect(next.body.next_cursor).toBeNull();
  const other = await t.call('dana', 'GET', `${paged}&q=e&cursor=${body.next_cursor}`);
  expect(other.body.code).toBe('invalid_cursor');
});

it('refuses strangers, and environments that do not exist', async () => {
  const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
  for (const path of [
    '/v1/organizations',
    '/v1/organizations/acme/flags',
    '/v1/organizations/acme/changes',
  ]) {
    expect((await t.call(stranger, 'GET', `${path}?environment=production`)).body.code).toBe('policy_denied');
    expect((await t.call('dana', 'GET', `${path}?environment=nowhere`)).body.code).toBe('not_found');
    expect((await t.call('dana', 'GET', path)).body.code).toBe('invalid_request');
  }
});

it('records who saw a flag that the policy calls sensitive', async () => {
  await createFlag(t, 'z-danger', { tier: 'high-risk' });
  await flagsOf('acme', 'casey');
  const records = await list('/v1/decisions?flag=z-danger&operation=flag.read', 'avery');
  expect(records).toMatchObject([{ principal: { id: 'person:demo:casey' } }]);
});
