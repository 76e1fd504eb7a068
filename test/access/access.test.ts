import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AccessView, GrantView } from '../../src/access/access.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { createFlag } from '../support/flags.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

async function access(query = ''): Promise<AccessView> {
  const { status, body } = await t.call('avery', 'GET', `/v1/access${query}`);
  expect(status).toBe(200);
  return body;
}

function grantsOf(view: AccessView, principal: string, capability: string): GrantView[] {
  return view.grants.filter((grant) => grant.principal.id === principal && grant.capability === capability);
}

it('says who may do what where, and by which binding', async () => {
  for (const who of ['dana', 'alex', 'riley']) await t.call(who, 'GET', '/v1/requests');
  const view = await access();
  const [grant, ...others] = grantsOf(view, 'person:demo:dana', 'propose').filter(
    ({ environment }) => environment === 'production',
  );
  expect(others).toEqual([]);
  expect(grant).toMatchObject({
    namespace: 'payments',
    principal: { kind: 'person', person: 'emp-1001', blocked: false },
    binding: { by: 'group', issuer: t.people.issuer, key: 'payments-developers', index: 0 },
  });
  expect(grantsOf(view, 'person:demo:dana', 'approve')).toEqual([]);
  expect(grantsOf(view, 'person:demo:alex', 'approve')).not.toEqual([]);
  expect(grantsOf(view, 'person:demo:alex', 'propose')).toEqual([]);
  expect(grantsOf(view, 'person:demo:riley', 'override')).not.toEqual([]);
  expect(view.policy_hash).toBe(t.broker.policy.hash);
});

it('knows workloads by their trust rule, within its grant', async () => {
  const token = await t.workloadToken();
  await t.call(token, 'GET', '/v1/requests');
  const job = (await access()).grants.filter(({ principal }) => principal.kind === 'workload');
  const proposing = job.filter(({ capability }) => capability === 'propose');
  expect(proposing.length).toBeGreaterThan(0);
  for (const grant of proposing) {
    expect(grant).toMatchObject({
      namespace: 'payments',
      binding: { by: 'trust_rule', issuer: null, key: 'payments-deploy' },
    });
  }
  expect(job.filter(({ capability }) => capability === 'approve')).toEqual([]);
});

it('knows the applications that read flags, by the audience that their rule grants', async () => {
  const before = await access();
  const rule = { by: 'audience', issuer: null, key: 'checkout-service', index: 0 };
  expect(before.bindings).toContainEqual(
    expect.objectContaining({ ...rule, holders: 0, capabilities: ['read'], namespaces: ['payments'] }),
  );
  await t.workloadToken('checkout', { audience: 'data:production' });
  const reading = (await access()).grants.filter(({ binding }) => binding.by === 'audience');
  expect(reading.map(({ environment }) => environment).sort()).toEqual([
    'development',
    'production',
    'staging',
  ]);
  for (const grant of reading) {
    expect(grant).toMatchObject({
      principal: { kind: 'workload', id: expect.stringMatching(/^workload:checkout-service:/) },
      capability: 'read',
      namespace: 'payments',
      binding: rule,
      unused: false,
      last_used_ms: grant.environment === 'production' ? t.clock() : null,
    });
  }
});

it('marks what was never used, and what was not used for long', async () => {
  await createFlag(t, 'checkout.banner');
  const fresh = grantsOf(await access(), 'person:demo:dana', 'propose');
  const used = fresh.filter((grant) => grant.last_used_ms !== null);
  expect(used.map((grant) => grant.environment)).toContain('production');
  expect(used.every((grant) => !grant.unused)).toBe(true);
  const overrides = async () => grantsOf(await access(), 'person:demo:riley', 'override');
  const known = await access();
  expect(known.known_since_ms).toBeLessThanOrEqual(known.at_ms);
  // Nobody knows yet whether they go without for 90 days.
  expect((await overrides()).map(({ unused }) => unused)).toEqual((await overrides()).map(() => false));
  expect((await access('?unused=true')).bindings).toEqual([]);

  t.clock.advance(91 * DAY_MS);
  const never = await overrides();
  expect(never.length).toBeGreaterThan(0);
  expect(never.every((grant) => grant.unused && grant.last_used_ms === null)).toBe(true);
  const later = grantsOf(await access('?principal=emp-1001'), 'person:demo:dana', 'propose');
  expect(later.every((grant) => grant.unused)).toBe(true);
  const patient = grantsOf(await access('?unused_days=120'), 'person:demo:dana', 'propose');
  expect(patient.some((grant) => !grant.unused)).toBe(true);
});

it('lists bindings that nobody holds', async () => {
  const { bindings } = await access('?unused=true');
  expect(bindings).toContainEqual(
    expect.objectContaining({
      by: 'group',
      key: 'customer-success',
      holders: 0,
      last_used_ms: null,
      unused: true,
    }),
  );
});

it('marks who is revoked', async () => {
  await t.call('riley+mfa', 'POST', '/v1/revocations', {
    kind: 'subject',
    value: 'emp-1002',
    incident: 'INC-1',
    reason: 'laptop stolen',
  });
  const [grant] = grantsOf(await access(), 'person:demo:alex', 'approve');
  expect(grant?.principal.blocked).toBe(true);
});

it('is kept over a restart', async () => {
  const before = await access();
  await t.restart();
  const after = await access();
  expect(after.grants.map((grant) => grant.principal.id)).toEqual(
    expect.arrayContaining(before.grants.map((grant) => grant.principal.id)),
  );
});

it('filters, and refuses what it does not know', async () => {
  const view = await access('?capability=approve&environment=staging&namespace=payments');
  expect(view.grants.length).toBeGreaterThan(0);
  for (const grant of view.grants)
    expect(grant).toMatchObject({ capability: 'approve', environment: 'staging' });
  for (const query of ['?capability=fly', '?unused_days=0', '?unused=perhaps', '?whose=mine']) {
    expect((await t.call('avery', 'GET', `/v1/access${query}`)).body.code).toBe('invalid_request');
  }
});

it('is for auditors and policy maintainers, and asking is recorded', async () => {
  expect((await t.call('dana', 'GET', '/v1/access')).status).toBe(403);
  await access();
  const { body } = await t.call('avery', 'GET', '/v1/decisions?operation=access.read');
  expect(body.items[0]).toMatchObject({
    principal: { id: 'person:demo:avery' },
    outcome: { effect: 'allow' },
  });
  expect(body.items.some((item: { outcome: { effect: string } }) => item.outcome.effect === 'deny')).toBe(
    true,
  );
});

it('is answered with what to do when the bundle cannot say', async () => {
  const own = await startTestBroker({ archive: await readFixtureBundle('anybody') });
  try {
    const { status, body } = await own.call(
      await own.people.idToken('avery', { claims: { groups: ['anybody'] } }),
      'GET',
      '/v1/access',
    );
    expect(status).toBe(501);
    expect(body).toMatchObject({ code: 'not_supported' });
  } finally {
    await own.close();
  }
});
