import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../support/broker.ts';
import { type ExampleBroker, missing, refusal, startExample } from '../support/example.ts';
import { creation, TICKET } from '../support/flags.ts';

/*
 * The regulated company of policies/examples: two approvals in production, roles that nobody combines, tickets, windows,
 * customers who are asked, and an end of the year in which nothing is changed.
 */

let example: ExampleBroker;

beforeAll(async () => {
  example = await startExample('regulated', {
    dev: ['payments-developers'],
    ann: ['payments-approvers'],
    bob: ['payments-approvers'],
    olga: ['onboarding-approvers'],
    rita: ['risk'],
    carl: ['customer-success-europe'],
    uma: ['customer-success-america'],
    ian: ['incident-responders'],
    pat: ['policy-maintainers'],
    paul: ['policy-maintainers'],
    nils: ['fraud-analysts'],
    max: ['payments-developers', 'payments-approvers'],
  });
  await example.signIn('dev', 'ann', 'bob', 'rita', 'pat', 'paul');
});

afterAll(() => example.t.close());

const enable = (flag: string) => [{ action: 'enable', flag }];
const disable = (flag: string) => [{ action: 'disable', flag }];
const ticket = { ticket: TICKET };

async function approvedBy(request: { id: string; digest: string }, ...approvers: string[]) {
  let answer: { state: string } = { state: '' };
  for (const who of approvers) {
    const reply = await example.approve(who, request);
    expect([who, reply.status]).toEqual([who, 200]);
    answer = reply.body;
  }
  return answer;
}

/** A flag of payments, off everywhere. */
async function flagOf(key: string, definition: Record<string, unknown> = {}): Promise<string> {
  const { body } = await example.propose('dev', [creation(key, definition)], ticket);
  const second = (definition.tier ?? 'operational') === 'operational' ? 'bob+mfa' : 'rita+mfa';
  expect(await approvedBy(body, 'ann+mfa', second)).toMatchObject({ state: 'applied' });
  return key;
}

describe('a flag of the regulated company', () => {
  it('goes on in production with two approvals and a ticket, and off at once', async () => {
    const flag = await flagOf('instant-transfer');
    const without = await example.propose('dev', enable(flag));
    expect(missing(without.body)).toEqual(['approval 2 flag-approver', 'ticket']);
    const { body } = await example.propose('dev', enable(flag), ticket);
    expect([body.state, missing(body)]).toEqual(['pending', ['approval 2 flag-approver']]);
    expect((await example.approve('ann', body)).body).toMatchObject({ state: 'pending' });
    expect(refusal(await example.approve('olga', body))).toEqual([404, 'not_found']);
    expect((await example.approve('bob', body)).body).toMatchObject({ state: 'applied' });
    expect((await example.propose('dev', disable(flag))).body).toMatchObject({ state: 'applied' });
  });

  it('is proposed, approved and governed by different people', async () => {
    const flag = await flagOf('limits');
    for (const who of ['ann', 'pat', 'rita', 'carl']) {
      const refused = await example.propose(who, enable(flag), ticket);
      expect([who, ...refusal(refused)]).toEqual([who, 403, 'role_missing']);
    }
    // By mistake in both groups.
    expect(refusal(await example.propose('max', enable(flag), ticket))).toEqual([403, 'exclusive_roles']);
    const { body } = await example.propose('dev', enable(flag), ticket);
    expect(refusal(await example.approve('max', body))).toEqual([403, 'exclusive_roles']);
    const approvedAs = async (who: string) => (await example.approve(who, body)).status;
    for (const who of ['dev', 'pat', 'carl']) expect([who, await approvedAs(who)]).toEqual([who, 403]);
  });

  it('asks customer success about a customer that it names, in a sensitive tier', async () => {
    const flag = await flagOf('statements', { tier: 'sensitive' });
    const change = {
      action: 'set_audience',
      flag,
      audience: { kind: 'some', organizations: ['acme'], users: [] },
    };
    const { body } = await example.propose('dev', [change, ...enable(flag)], ticket);
    expect(missing(body)).toEqual([
      'approval 1 flag-approver',
      'approval 1 security-approver',
      'approval 1 account-approver acme',
    ]);
    expect((await example.approve('uma', body)).status).toBe(403);
    expect(await approvedBy(body, 'ann', 'rita')).toMatchObject({ state: 'pending' });
    expect(await approvedBy(body, 'carl')).toMatchObject({ state: 'applied' });
  });

  it('is at least sensitive if customers have paid for it', async () => {
    const proposed = await example.propose(
      'dev',
      [creation('gold-plan', { kind: 'entitlement', contract: 'CRM-7', retirement: 'Never.' })],
      ticket,
    );
    expect(refusal(proposed)).toEqual([403, 'tier_below_floor']);
  });

  it('takes two people with a second factor if it is high-risk', async () => {
    const flag = await flagOf('ledger', { tier: 'high-risk' });
    const { body } = await example.propose(
      'dev',
      [{ action: 'set_rollout', flag, default_variant: 'off' }],
      ticket,
    );
    expect(refusal(await example.approve('ann', body))).toEqual([401, 'sign_in_required']);
    expect(await approvedBy(body, 'ann+mfa', 'rita+mfa')).toMatchObject({ state: 'applied' });
  });

  it('is proposed by the pipeline, which never approves, and whose human does not either', async () => {
    const flag = await flagOf('receipts');
    const answer = await exchange(example.t.url, await example.t.ci.token());
    const token = answer.body.access_token;
    const content = { environment: 'production', changes: enable(flag), reason: 'release', ...ticket };
    const { status, body } = await example.t.call(token, 'POST', '/v1/requests', content);
    expect([status, missing(body)]).toEqual([201, ['approval 2 flag-approver']]);
    const own = await example.t.call(token, 'POST', `/v1/requests/${body.id}/approve`, {
      digest: body.digest,
    });
    expect(own.status).toBe(403);
    expect(refusal(await example.approve('dev', body))).toContain('self_approval');
    expect(await approvedBy(body, 'ann', 'bob')).toMatchObject({ state: 'applied' });
  });
});

describe('the policy of the regulated company', () => {
  it('is changed by one row with a maintainer and risk, neither of whom proposed it', async () => {
    const path = `/config/role_bindings/groups/${example.t.people.issuer.replaceAll('/', '~1')}/fraud-analysts`;
    const value = [{ roles: ['flag-reader'], namespaces: ['payments'], environments: ['*'] }];
    const row = { kind: 'policy.activate', patch: [{ op: 'add', path, value }], reason: 'they look on' };
    expect((await example.call('nils', 'GET', '/v1/flags?environment=production')).status).toBe(403);
    expect(refusal(await example.call('rita', 'POST', '/v1/requests', row))).toEqual([403, 'role_missing']);
    const { body } = await example.call('pat', 'POST', '/v1/requests', row);
    expect(missing(body)).toEqual(['approval 1 policy-maintainer', 'approval 1 security-approver']);
    expect(refusal(await example.approve('pat', body))).toEqual([403, 'self_approval']);
    expect(refusal(await example.approve('ann', body))).toEqual([404, 'not_found']);
    expect(await approvedBy(body, 'paul')).toMatchObject({ state: 'pending' });
    expect(await approvedBy(body, 'rita')).toMatchObject({ state: 'applied' });
    expect((await example.call('nils', 'GET', '/v1/flags?environment=production')).status).toBe(200);
  });
});

describe('the calendar of the regulated company', () => {
  it('lets a change wait for office hours, and applies it then', async () => {
    const flag = await flagOf('evening');
    example.t.clock.set(Date.UTC(2026, 10, 20, 10));
    const { body } = await example.propose('dev', enable(flag), ticket);
    expect(await approvedBy(body, 'ann', 'bob')).toMatchObject({ state: 'ready' });
    const [gate] = (await example.call('dev', 'GET', `/v1/requests/${body.id}`)).body.gates;
    expect(gate).toMatchObject({ code: 'window_closed', opens_ms: Date.UTC(2026, 10, 23, 8) });
    example.t.clock.set(Date.UTC(2026, 10, 23, 8, 0, 1));
    await example.t.broker.scheduler.tick();
    expect((await example.call('dev', 'GET', `/v1/requests/${body.id}`)).body.state).toBe('applied');
  });

  it('changes nothing over the end of the year but what is safer', async () => {
    const flag = await flagOf('countdown');
    const on = await example.propose('dev', enable(flag), ticket);
    await approvedBy(on.body, 'ann', 'bob');
    const other = await flagOf('fireworks');
    example.t.clock.set(Date.UTC(2026, 11, 21, 10));
    const { body } = await example.propose('dev', enable(other), ticket);
    expect(await approvedBy(body, 'ann', 'bob')).toMatchObject({ state: 'ready' });
    const [gate] = (await example.call('dev', 'GET', `/v1/requests/${body.id}`)).body.gates;
    expect(gate).toMatchObject({ code: 'blackout', opens_ms: Date.UTC(2027, 0, 4, 8) });
    expect((await example.propose('dev', disable(flag))).body).toMatchObject({ state: 'applied' });
  });
});
