import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, creation, propose, TICKET } from '../support/flags.ts';

/** What a request reaches beyond the environment that it names, and how large it may be. */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

describe('a change of a definition', () => {
  it('is approved knowing the states of all environments: when one moves, it is conflicted', async () => {
    const flag = await createFlag(t, 'reach.retired');
    const retire = { environment: 'development', apply: 'manual', ticket: TICKET };
    const proposed = await propose(t, [{ action: 'retire', flag }], retire);
    const approved = await approve(t, 'alex', proposed.body);
    expect(approved.body.state).toBe('ready');
    await applyChanges(t, [{ action: 'enable', flag }]);
    const applied = await t.call('dana', 'POST', `/v1/requests/${proposed.body.id}/apply`);
    expect([applied.status, applied.body.code]).toEqual([409, 'request_conflicted']);
    const present = await t.call('dana', 'GET', `/v1/flags/${flag}`);
    expect(present.body).toMatchObject({ retired: false, states: { production: { enabled: true } } });
  });

  it('is found in the log by every environment, whichever it was proposed in', async () => {
    const flag = await createFlag(t, 'reach.logged');
    await applyChanges(t, [{ action: 'update', flag, set: { owner: 'somebody-else' } }], {
      environment: 'development',
    });
    for (const environment of ['development', 'staging', 'production']) {
      const { body } = await t.call(
        'avery',
        'GET',
        `/v1/decisions?flag=${flag}&environment=${environment}&limit=1`,
      );
      expect(body.items[0]).toMatchObject({ environment: 'development', request: { to: 'applied' } });
    }
  });
});

describe('a request that is approved later than it was proposed', () => {
  it('is still applied, whatever its action', async () => {
    const { body: created } = await propose(t, [creation('reach.later')]);
    t.clock.advance(90_000);
    expect((await approve(t, 'alex', created)).body.state).toBe('applied');
    for (const change of [
      { action: 'enable' },
      {
        action: 'set_rollout',
        rollout: [
          { variant: 'on', percent: 50 },
          { variant: 'off', percent: 50 },
        ],
      },
      { action: 'update', set: { owner: 'somebody-else' } },
      { action: 'return_to_version', version: 2 },
    ]) {
      const { body } = await propose(t, [{ ...change, flag: 'reach.later' }]);
      t.clock.advance(90_000);
      expect((await approve(t, 'alex', body)).body.state).toBe('applied');
    }
  });
});

describe('a flag whose tier changes within a request', () => {
  it('counts with its highest tier in each change, in whatever order', async () => {
    const flag = await createFlag(t, 'reach.chain', { tier: 'sensitive' });
    const { body } = await propose(
      t,
      [
        { action: 'update', flag, set: { tier: 'operational' } },
        { action: 'set_audience', flag, audience: { kind: 'some', organizations: ['acme'], users: [] } },
        { action: 'enable', flag },
        { action: 'update', flag, set: { tier: 'sensitive' } },
      ],
      { ticket: TICKET },
    );
    expect(body.state).toBe('pending');
    expect(body.changes.map((change: { flag: { tier: string } }) => change.flag.tier)).toEqual(
      Array.from({ length: 4 }, () => 'sensitive'),
    );
    const wanted = body.standing.obligations.map((obligation: { role?: string; organization?: string }) => [
      obligation.role,
      obligation.organization,
    ]);
    expect(wanted).toContainEqual(['account-approver', 'acme']);
  });
});

describe('a request that is too large to be judged', () => {
  it('is refused before it costs much, with nothing written', async () => {
    const flag = await createFlag(t, 'reach.large', { tier: 'informational' });
    const organizations = Array.from({ length: 1500 }, (_, place) => `organization-${place}`);
    await applyChanges(t, [
      { action: 'set_audience', flag, audience: { kind: 'some', organizations, users: [] } },
    ]);
    const toggles = Array.from({ length: 100 }, (_, place) => ({
      action: place % 2 === 0 ? 'enable' : 'disable',
      flag,
    }));
    const before = await t.call('avery', 'GET', '/v1/decisions?limit=1');
    const refused = await propose(t, toggles);
    expect([refused.status, refused.body.code]).toEqual([422, 'invalid_change']);
    expect(refused.body.detail).toContain('split it');
    const after = await t.call('avery', 'GET', '/v1/decisions?limit=2');
    expect(after.body.items[1].id).toBe(before.body.items[0].id);
  });
});
