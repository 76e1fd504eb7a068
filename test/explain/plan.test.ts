import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, countRows, createFlag, propose } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/** Friday, 20 November 2026, 18:00 in Berlin: the windows of sensitive changes open again on Monday at 9. */
const FRIDAY_EVENING = Date.UTC(2026, 10, 20, 17, 0);
const MONDAY_9 = Date.UTC(2026, 10, 23, 8, 0);

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data, { people }) => {
      const { config } = data as { config: { role_bindings: { groups: Record<string, object> } } };
      const groups = config.role_bindings.groups[people] as Record<string, object[]>;
      const binding = {
        roles: ['flag-deployer', 'flag-reader'],
        namespaces: ['growth'],
        environments: ['*'],
      };
      groups['growth-developers'] = [binding];
      return data;
    },
  });
  await createFlag(t, 'plain');
  await createFlag(t, 'delicate', { tier: 'sensitive' });
  await createFlag(t, 'cold');
  await signIn(t, ['alex', 'sam', 'avery', 'morgan', 'jordan']);
  t.clock.set(FRIDAY_EVENING);
});
afterAll(() => t.close());

const enable = (flag: string) => [{ action: 'enable', flag }];
const content = (flag: string, more: object = {}) => ({
  environment: 'production',
  reason: 'x',
  changes: enable(flag),
  ...more,
});
const plan = (who: string, body: object): Promise<Reply> =>
  t.call(who, 'POST', '/v1/policy/explain', { plan: body });

describe('a plan', () => {
  it('says what the proposal would do, what the policy would say and when, and changes nothing', async () => {
    const before = [await countRows(t), readRecords(t.file).length];
    const { status, body } = await plan('dana', content('delicate'));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      operation: 'request.propose',
      effect: 'hold',
      plan: { summary: null, changes: [{ action: 'enable', facts: { direction: 'on' } }], object: null },
    });
    const kinds = body.obligations.map((missing: Reply['body']) => missing.obligation.kind);
    expect(kinds).toEqual(['approval', 'ticket', 'window']);
    expect(body.obligations[2].opens).toMatchObject({ opens_ms: MONDAY_9, zone: 'Europe/Berlin' });
    expect([await countRows(t), readRecords(t.file).length]).toEqual(before);
  });

  it('has the digest that the proposal then has, and its approvals are for it', async () => {
    const { body } = await plan('dana', content('delicate', { ticket: 'PAY-1' }));
    const proposed = await propose(t, enable('delicate'), { reason: 'x', ticket: 'PAY-1' });
    expect(proposed.body.digest).toBe(body.plan.digest);
    expect((await approve(t, 'alex', { ...proposed.body, digest: body.plan.digest })).status).toBe(200);
    await t.call('dana', 'POST', `/v1/requests/${proposed.body.id}/withdraw`);
  });

  it('names who would have to approve to whoever may know, and records that they were told', async () => {
    const withAuditor = await startTestBroker({
      editData: (data) => {
        const { config } = data as { config: { role_bindings: { groups: Record<string, object> } } };
        for (const groups of Object.values(config.role_bindings.groups)) {
          const list = groups as Record<string, object[]>;
          list['payments-developers']?.push({
            roles: ['flag-auditor'],
            namespaces: ['*'],
            environments: ['*'],
          });
        }
        return data;
      },
    });
    try {
      await createFlag(withAuditor, 'plain');
      for (const who of ['alex', 'sam', 'casey']) await withAuditor.call(who, 'GET', '/v1/whoami');
      const asked = { plan: content('plain') };
      const { body } = await withAuditor.call('dana', 'POST', '/v1/policy/explain', asked);
      expect(body.obligations[0].who.map(({ id }: { id: string }) => id)).toEqual([
        'person:demo:alex',
        'person:demo:sam',
      ]);
      expect(readRecords(withAuditor.file).at(-1)).toMatchObject({
        operation: 'access.read',
        outcome: 'allow',
      });
    } finally {
      await withAuditor.close();
    }
  });

  it('of what nobody has to approve is allowed, and still not applied', async () => {
    const { body } = await plan('dana', content('plain', { environment: 'staging' }));
    expect(body).toMatchObject({ effect: 'allow', obligations: [], gates: [] });
    const { body: flag } = await t.call('dana', 'GET', '/v1/flags/plain');
    expect(JSON.stringify(flag.states)).not.toContain('"enabled":true');
  });

  it('names its start and a manual apply among its gates, without a call for what does not exist', async () => {
    const later = { environment: 'staging', start_ms: t.clock() + 3_600_000, apply: 'manual' };
    const { body } = await plan('dana', content('plain', later));
    expect(body.gates).toMatchObject([
      { code: 'start_time', call: null },
      { code: 'apply_required', call: null },
    ]);
  });

  it('of a lift or of a policy says in a sentence what it would do', async () => {
    const order = { scope: 'flag', flag: 'cold', incident: 'INC-7', reason: 'x' };
    const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
    const lift = await plan('riley', { kind: 'freeze.lift', freeze: freeze.id, reason: 'over' });
    expect(lift.body).toMatchObject({
      effect: 'hold',
      plan: { summary: expect.stringMatching(/^lift freeze/) },
    });
    const patch = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 86_400 }];
    const { records: _, details: __, ...before } = await countRows(t);
    const policy = await plan('morgan', { kind: 'policy.activate', patch, reason: 'x' });
    expect(policy.body).toMatchObject({ effect: 'hold', plan: { object: { type: 'policy' } } });
    // Morgan may read access, so what they were told is recorded; a plan still writes nothing else.
    expect(await countRows(t)).toMatchObject(before);
    expect(readRecords(t.file).at(-1)).toMatchObject({ operation: 'access.read' });
  });
});

describe('a plan that could not be proposed', () => {
  it('is refused by the policy as its proposal, without saying what is wrong with its content', async () => {
    for (const flag of ['plain', 'delicate']) {
      const changes = [{ action: 'return_to_version', flag, version: 99 }];
      const { status, body } = await plan('alex', content(flag, { changes }));
      expect([status, body.effect ?? body.code]).toEqual([422, 'invalid_change']);
    }
    const { body } = await plan('alex', content('plain'));
    expect(body).toMatchObject({ effect: 'deny', reasons: [{ code: 'role_missing' }], plan: null });
  });

  it.each([
    ['a key that is taken', { changes: [{ action: 'create', flag: 'plain', definition: definition() }] }],
    ['a start in the past', { start_ms: 1 }],
    ['a start after its end', { start_ms: Date.UTC(2027, 10, 20) }],
  ])('because of %s is told so, as by the proposal', async (_, more) => {
    const planned = await plan('dana', content('plain', more));
    const proposed = await t.call('dana', 'POST', '/v1/requests', content('plain', more));
    const told = ({ status, body }: Reply) => [status, body.code, body.detail, body.errors];
    expect(told(planned)).toEqual(told(proposed));
    expect(planned.status).toBe(422);
  });

  it('is not told whether a key is taken, if creating it would be denied', async () => {
    const create = (flag: string) =>
      content(flag, { changes: [{ action: 'create', flag, definition: definition() }] });
    const { body: taken } = await plan('alex', create('plain'));
    const { body: free } = await plan('alex', create('quite-new'));
    expect(taken).toEqual(free);
    expect(taken).toMatchObject({ effect: 'deny', plan: null });
  });

  it('of a flag that one may not see is answered as of one that does not exist', async () => {
    const elsewhere = await t.people.idToken('dana', { claims: { groups: ['growth-developers'] } });
    const told = async (flag: string) => {
      const { status, body } = await plan(elsewhere, content(flag));
      return [status, body.code, body.detail.replace(flag, '…')];
    };
    expect(await told('plain')).toEqual(await told('no-such-flag'));
    expect((await told('plain')).slice(0, 2)).toEqual([404, 'not_found']);
  });

  it('by a stranger says nothing at all', async () => {
    const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
    const { status, body } = await plan(stranger, content('plain', { start_ms: 1 }));
    expect([status, body.code]).toEqual([403, 'policy_denied']);
    expect(JSON.stringify(body)).not.toContain('start');
  });
});

function definition() {
  return {
    ...{ namespace: 'payments', kind: 'release', tier: 'operational', owner: 'team-payments' },
    ...{ purpose: 'x', variants: { on: true, off: false }, retirement: 'x' },
  };
}
