import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal } from '../cli/support.ts';
import { signIn } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, creation, propose } from '../support/flags.ts';

let t: TestBroker;
beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'plain');
  await createFlag(t, 'delicate', { tier: 'sensitive' });
  await signIn(t, ['alex', 'sam', 'avery', 'riley']);
});
afterAll(() => t.close());

const explain = async (who: string, request: Reply['body']): Promise<Reply['body']> =>
  (await t.call(who, 'POST', '/v1/policy/explain', { request: request.id })).body;

async function frozenEverything(): Promise<Reply['body']> {
  const order = { scope: 'all', incident: 'INC-7', reason: 'x' };
  const { body } = await t.call('riley', 'POST', '/v1/freezes', order);
  const lift = { kind: 'freeze.lift', freeze: body.id, reason: 'over' };
  return (await t.call('riley', 'POST', '/v1/requests', lift)).body;
}

describe('a missing approval', () => {
  it('says for a freeze of everything that only a binding to everything would do', async () => {
    const lift = await frozenEverything();
    const [gate] = lift.gates;
    expect(gate).toMatchObject({
      code: 'approval_required',
      cleared_by: 'flag-approver',
      scope: [{ namespace: '*', environment: '*' }],
    });
    expect(gate.detail).toMatch(/held for every namespace and environment, by a binding to everything\.$/);
    expect((await approve(t, 'alex', lift)).body.code).toBe('policy_denied');

    const told = await explain('avery', lift);
    expect(told.obligations[0].bindings.map(({ key }: { key: string }) => key).sort()).toEqual([
      'responders',
      'security',
    ]);
    expect(told.obligations[0].who.map(({ id }: { id: string }) => id)).toEqual(['person:demo:sam']);
    expect((await approve(t, 'sam', lift)).body.state).toBe('applied');
  });

  it('says the namespace and the environment of a change, and every environment for a definition', async () => {
    const { body: change } = await propose(t, [{ action: 'enable', flag: 'plain' }]);
    expect(change.gates[0].scope).toEqual([{ namespace: 'payments', environment: 'production' }]);
    expect(change.gates[0].detail).toMatch(/ The role must be held for payments in production\.$/);
    const { body: created } = await propose(t, [creation('another', { tier: 'sensitive' })]);
    expect(created.gates[0].scope).toEqual([{ namespace: 'payments', environment: '*' }]);
    const told = await explain('avery', change);
    expect(told.obligations[0].bindings).toMatchObject([
      { by: 'group', issuer: t.people.issuer, key: 'payments-approvers' },
      { by: 'group', issuer: t.people.issuer, key: 'security' },
    ]);
  });

  it('names bindings only to whoever may read access', async () => {
    const { body } = await propose(t, [{ action: 'enable', flag: 'plain' }]);
    for (const who of ['dana', 'alex']) {
      const told = await explain(who, body);
      expect(told.obligations[0]).toMatchObject({ who: null, bindings: null });
      expect(JSON.stringify(told)).not.toContain('security');
    }
  });

  it('that no binding could give is told with the command that adds one', async () => {
    const audience = { kind: 'some', organizations: ['initech'], users: [] };
    const changes = [
      { action: 'set_audience', flag: 'delicate', audience },
      { action: 'enable', flag: 'delicate' },
    ];
    const { body } = await propose(t, changes);
    const { out } = await createTerminal(t).as('avery', 'explain', body.id);
    expect(out).toMatch(/account-approver for initech .*\n(?:.*\n)? +who +nobody known\n +by +no binding/);
    expect(out).toContain(
      'by     no binding of the policy; add one with countersign policy add-binding --group … --role account-approver --namespace payments --environment production --organization initech --reason …',
    );
  });
});
