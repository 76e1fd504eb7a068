import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import {
  applyChanges,
  approve,
  countRows,
  createFlag,
  creation,
  propose,
  readFlag,
  TICKET,
} from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

const some = (...organizations: string[]) => ({ kind: 'some', organizations, users: [] });

async function production(flag: string) {
  return (await readFlag(t, flag)).states.production;
}

describe('each action', () => {
  it('create makes the flag in every environment, switched off', async () => {
    await createFlag(t, 'new-flag');
    const flag = await readFlag(t, 'new-flag');
    expect(Object.keys(flag.states).sort()).toEqual(['development', 'production', 'staging']);
    for (const state of Object.values<{ enabled: boolean; version: number }>(flag.states)) {
      expect(state).toMatchObject({ enabled: false, version: 1, default_variant: 'on' });
    }
    expect(flag).toMatchObject({ definition_version: 1, safe_variant: 'off', retired: false });
  });

  it('enable, disable, set_audience and set_rollout touch one environment, one version each', async () => {
    const flag = await createFlag(t, 'stateful', { tier: 'informational' });
    await applyChanges(t, [{ action: 'set_audience', flag, audience: some('acme') }]);
    await applyChanges(t, [{ action: 'enable', flag }]);
    const rollout = [
      { variant: 'on', percent: 12.5 },
      { variant: 'off', percent: 87.5 },
    ];
    await applyChanges(t, [{ action: 'set_rollout', flag, rollout }]);
    await applyChanges(t, [{ action: 'disable', flag }]);
    const { states } = await readFlag(t, flag);
    expect(states.production).toEqual({
      version: 5,
      enabled: false,
      default_variant: 'on',
      audience: some('acme'),
      rules: [],
      rollout,
    });
    expect(states.staging.version).toBe(1);
  });

  it('update changes the definition and no state', async () => {
    const flag = await createFlag(t, 'renamed');
    await applyChanges(t, [{ action: 'update', flag, set: { owner: 'team-checkout' } }]);
    expect(await readFlag(t, flag)).toMatchObject({ owner: 'team-checkout', definition_version: 2 });
    expect((await production(flag)).version).toBe(1);
  });

  it('return_to_version writes the earlier state as a new version', async () => {
    const flag = await createFlag(t, 'returned', { tier: 'informational' });
    await applyChanges(t, [{ action: 'enable', flag }]);
    await applyChanges(t, [{ action: 'set_audience', flag, audience: some('acme') }]);
    await applyChanges(t, [{ action: 'return_to_version', flag, version: 1 }]);
    const { items } = (await t.call('dana', 'GET', `/v1/flags/${flag}/versions?environment=production`)).body;
    expect(items.map((item: { version: number }) => item.version)).toEqual([4, 3, 2, 1]);
    expect(items[0].state).toEqual(items[3].state);
  });

  it('retire ends the flag: nothing changes it again, and its key is not free', async () => {
    const flag = await createFlag(t, 'retired', { tier: 'informational' });
    await applyChanges(t, [{ action: 'retire', flag }]);
    expect(await readFlag(t, flag)).toMatchObject({ retired: true, definition_version: 2 });
    for (const change of [{ action: 'enable', flag }, { action: 'retire', flag }, creation(flag)]) {
      expect((await propose(t, [change])).body.code).toBe('invalid_change');
    }
  });
});

describe('the history of a flag', () => {
  it('says for each version which request and which decision made it', async () => {
    const flag = await createFlag(t, 'historic', { tier: 'informational' });
    const request = await applyChanges(t, [{ action: 'enable', flag }]);
    const { items } = (await t.call('dana', 'GET', `/v1/flags/${flag}/versions?environment=production`)).body;
    expect(items[0]).toMatchObject({ version: 2, request_id: request.id, decision_id: request.decision_id });
    const decision = await t.call('avery', 'GET', `/v1/decisions/${items[0].decision_id}`);
    expect(decision.body.flags).toEqual([
      { flag, environment: 'production', version_before: 1, version_after: 2 },
    ]);
    expect(decision.body.input.request.changes[0]).toMatchObject({
      action: 'enable',
      facts: { direction: 'on' },
    });
  });
});

describe('a request with several changes', () => {
  it('is applied as a whole, each change on what the one before left', async () => {
    const request = await applyChanges(t, [
      creation('pair-a'),
      creation('pair-b'),
      { action: 'enable', flag: 'pair-a' },
      { action: 'set_audience', flag: 'pair-a', audience: some('acme') },
    ]);
    expect(request.changes).toHaveLength(4);
    expect(await production('pair-a')).toMatchObject({ enabled: true, audience: some('acme'), version: 1 });
    expect((await production('pair-b')).enabled).toBe(false);
    expect((await readFlag(t, 'pair-a')).states.staging.enabled).toBe(false);
  });

  it('writes nothing when one of its changes cannot be made', async () => {
    const flag = await createFlag(t, 'half', { tier: 'informational' });
    const before = await countRows(t);
    const { body } = await propose(t, [
      { action: 'enable', flag },
      { action: 'enable', flag: 'not-there' },
    ]);
    expect(body).toMatchObject({ code: 'not_found', errors: [{ pointer: '#/changes/1/flag' }] });
    expect(await countRows(t)).toEqual(before);
    expect((await production(flag)).enabled).toBe(false);
  });

  it('writes nothing when one of its flags has moved', async () => {
    const still = await createFlag(t, 'still');
    const moving = await createFlag(t, 'moving');
    const { body } = await propose(t, [
      { action: 'enable', flag: still },
      { action: 'enable', flag: moving },
    ]);
    await applyChanges(t, [{ action: 'set_audience', flag: moving, audience: some('acme') }]);
    expect((await approve(t, 'alex', body)).body.state).toBe('conflicted');
    expect(await production(still)).toMatchObject({ enabled: false, version: 1 });
  });

  it('takes the strictest of its tiers', async () => {
    const plain = await createFlag(t, 'easy', { tier: 'informational' });
    const risky = await createFlag(t, 'hard', { tier: 'high-risk' });
    const { body } = await propose(t, [
      { action: 'enable', flag: plain },
      { action: 'enable', flag: risky },
    ]);
    expect(body.state).toBe('pending');
    expect(body.gates.map((gate: { cleared_by: string }) => gate.cleared_by)).toEqual(
      expect.arrayContaining(['flag-approver', 'security-approver', 'proposer']),
    );
  });

  it('of a hundred new flags with long keys is refused or applied, and never a fault of the broker', async () => {
    const changes = Array.from({ length: 100 }, (_, place) =>
      creation(`${'k'.repeat(90)}-${place}`, { tier: 'informational' }),
    );
    const { status, body } = await propose(t, changes);
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'invalid_change' });
    expect(body.detail).toContain('several requests');
    expect((await propose(t, changes.slice(0, 40))).body.state).toBe('applied');
  });
});

describe('a lowered tier', () => {
  it('needs what the higher tier needs', async () => {
    const flag = await createFlag(t, 'downgraded', { tier: 'high-risk' });
    const { body } = await propose(t, [{ action: 'update', flag, set: { tier: 'informational' } }], {
      ticket: TICKET,
    });
    expect(body).toMatchObject({
      state: 'pending',
      changes: [{ facts: { tier_lowered_from: 'high-risk' } }],
    });
    expect((await approve(t, 'alex', body)).body.code).toBe('sign_in_required');
    expect((await approve(t, 'alex+mfa', body)).body.state).toBe('pending');
    expect((await approve(t, 'sam+mfa', body)).body.state).toBe('applied');
  });

  it('cannot be used by a change beside it in the same request', async () => {
    const flag = await createFlag(t, 'smuggled', { tier: 'high-risk' });
    const { body } = await propose(t, [
      { action: 'update', flag, set: { tier: 'informational' } },
      { action: 'enable', flag },
    ]);
    expect(body.state).toBe('pending');
    expect(body.standing.obligations).toContainEqual({
      kind: 'approval',
      role: 'security-approver',
      count: 1,
    });
  });

  it('that moves under an open request voids it', async () => {
    const flag = await createFlag(t, 'raised', { tier: 'operational' });
    const { body } = await propose(t, [{ action: 'enable', flag }]);
    await applyChanges(t, [{ action: 'update', flag, set: { tier: 'high-risk' } }]);
    expect((await approve(t, 'alex', body)).body.state).toBe('conflicted');
    expect((await production(flag)).enabled).toBe(false);
  });
});
