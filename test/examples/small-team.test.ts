import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExampleBroker, missing, refusal, startExample } from '../support/example.ts';
import { creation } from '../support/flags.ts';

/*
 * The small team of policies/examples: one approval in production, no windows, two groups. Ada and cleo are in both.
 */

let example: ExampleBroker;

beforeAll(async () => {
  example = await startExample('small-team', {
    ada: ['team', 'owners'],
    ben: ['team'],
    cleo: ['team', 'owners'],
    kim: ['contractors'],
  });
  await example.signIn('ada', 'ben', 'cleo');
});

afterAll(() => example.t.close());

const enable = (flag: string) => [{ action: 'enable', flag }];
const disable = (flag: string) => [{ action: 'disable', flag }];

/** A flag that ben has created with ada's approval, off everywhere. */
async function flagOf(key: string, tier = 'operational'): Promise<string> {
  const { body } = await example.propose('ben', [creation(key, { tier, namespace: 'shop' })]);
  expect((await example.approve('ada+mfa', body)).body).toMatchObject({ state: 'applied' });
  return key;
}

describe('a flag of the small team', () => {
  it('goes on in production with one approval, of anybody but its author', async () => {
    const flag = await flagOf('new-basket');
    const { status, body } = await example.propose('ben', enable(flag));
    expect([status, body.state, missing(body)]).toEqual([201, 'pending', ['approval 1 flag-approver']]);
    expect(body.gates).toMatchObject([{ code: 'approval_required', cleared_by: 'flag-approver' }]);
    expect(refusal(await example.approve('ben', body))).toEqual([403, 'self_approval']);
    expect((await example.approve('cleo', body)).body).toMatchObject({ state: 'applied' });
  });

  it('goes off at once, and on again on a Sunday night', async () => {
    const flag = await flagOf('night-sale');
    example.t.clock.set(Date.UTC(2026, 10, 22, 2, 30));
    const { body } = await example.propose('cleo', enable(flag));
    expect((await example.approve('ben', body)).body).toMatchObject({ state: 'applied' });
    expect((await example.propose('ben', disable(flag))).body).toMatchObject({ state: 'applied' });
  });

  it('is self-service in staging, whatever its tier', async () => {
    const flag = await flagOf('payouts', 'high-risk');
    const { body } = await example.propose('ben', enable(flag), { environment: 'staging' });
    expect(body).toMatchObject({ state: 'applied' });
  });

  it('takes a second factor of the approver if it is high-risk', async () => {
    const flag = await flagOf('refunds', 'high-risk');
    const { body } = await example.propose('ben', enable(flag));
    expect(refusal(await example.approve('ada', body))).toEqual([401, 'sign_in_required']);
    expect((await example.approve('ada+mfa', body)).body).toMatchObject({ state: 'applied' });
  });

  it("is nobody else's", async () => {
    const refused = await example.propose('kim', [creation('mine', { namespace: 'shop' })]);
    expect(refusal(refused)).toEqual([403, 'unknown_principal']);
  });
});

describe('an incident of the small team', () => {
  it('is frozen by one owner, and lifted by two', async () => {
    const [flag, other] = [await flagOf('search'), await flagOf('filters')];
    const on = await example.propose('ben', enable(flag));
    await example.approve('ada', on.body);
    const order = { scope: 'all', incident: 'INC-1', reason: 'errors' };
    expect((await example.call('ben', 'POST', '/v1/freezes', order)).status).toBe(403);
    const frozen = await example.call('ada', 'POST', '/v1/freezes', order);
    expect(frozen.status).toBe(201);
    expect(refusal(await example.propose('ben', enable(other)))).toEqual([403, 'frozen']);
    expect((await example.propose('ben', disable(flag))).body).toMatchObject({ state: 'applied' });
    const lift = await example.call('ada', 'POST', '/v1/requests', {
      kind: 'freeze.lift',
      freeze: frozen.body.id,
      reason: 'over',
    });
    expect([lift.body.state, missing(lift.body)]).toEqual([
      'pending',
      ['approval 1 flag-emergency-override'],
    ]);
    expect((await example.approve('ben', lift.body)).status).toBe(403);
    expect((await example.approve('cleo', lift.body)).body).toMatchObject({ state: 'applied' });
  });
});

describe('the policy of the small team', () => {
  it('is changed by one row: an owner proposes, another one approves, and it holds on the next call', async () => {
    const path = `/config/role_bindings/groups/${example.t.people.issuer.replaceAll('/', '~1')}/contractors`;
    const value = [{ roles: ['flag-deployer', 'flag-reader'], namespaces: ['shop'], environments: ['*'] }];
    const row = { kind: 'policy.activate', patch: [{ op: 'add', path, value }], reason: 'kim helps' };
    expect((await example.call('ben', 'POST', '/v1/requests', row)).status).toBe(403);
    const { body } = await example.call('ada', 'POST', '/v1/requests', row);
    expect([body.state, missing(body)]).toEqual(['pending', ['approval 1 policy-maintainer']]);
    expect((await example.approve('ben', body)).status).toBe(403);
    expect((await example.approve('cleo', body)).body).toMatchObject({ state: 'applied' });
    const proposed = await example.propose('kim', [creation('banner', { namespace: 'shop' })]);
    expect([proposed.status, proposed.body.state]).toEqual([201, 'pending']);
    const elsewhere = await example.propose('kim', [creation('other', { namespace: 'billing' })]);
    expect(refusal(elsewhere)).toEqual([403, 'role_missing']);
  });
});
