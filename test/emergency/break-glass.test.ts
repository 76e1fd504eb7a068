import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, readFlag } from '../support/flags.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'payouts', { tier: 'high-risk' });
  await applyChanges(t, [{ action: 'enable', flag: 'payouts' }]);
});

afterEach(() => t.close());

const ORDER = { incident: 'INC-9', reason: 'money leaves twice' };

function open(who = 'riley+mfa', order: unknown = ORDER): Promise<Reply> {
  return t.call(who, 'POST', '/v1/break-glass', order);
}

function change(
  session: Reply['body'],
  changes: unknown[],
  who = 'riley',
  environment = 'production',
): Promise<Reply> {
  return t.call(who, 'POST', `/v1/break-glass/${session.id}/apply`, { environment, changes });
}

async function production() {
  return (await readFlag(t, 'payouts')).states.production;
}

const disable = { action: 'disable', flag: 'payouts' };

describe('a break-glass session', () => {
  it('is opened after a fresh strong sign-in only', async () => {
    const weak = await open('riley');
    expect(weak.body).toMatchObject({ status: 401, code: 'sign_in_required', level: 2, max_age_s: 300 });
    expect(weak.headers.get('www-authenticate')).toContain('insufficient_user_authentication');
    const stale = await t.people.idToken('riley', { mfa: true, authAgeS: 301 });
    expect((await open(stale)).status).toBe(401);
    expect((await open()).status).toBe(201);
  });

  it.each(['dana+mfa', 'alex+mfa', 'sam+mfa', 'morgan+mfa'])('is not opened by %s', async (who) => {
    expect((await open(who)).status).toBe(403);
  });

  it('switches a high-risk flag off at once, alone, outside every window', async () => {
    t.clock.set(Date.UTC(2026, 10, 22, 3));
    const session = (await open()).body;
    const { status, body } = await change(session, [disable]);
    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'applied', ticket: 'INC-9' });
    expect((await production()).enabled).toBe(false);
    const decision = await t.call('avery', 'GET', `/v1/decisions/${body.decision_id}`);
    expect(decision.body).toMatchObject({
      operation: 'breakglass.apply',
      input: { emergency: { breakglass: { id: session.id } } },
    });
  });

  it('works under a freeze, which it does not lift', async () => {
    await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', ...ORDER });
    expect((await change((await open()).body, [disable])).body.state).toBe('applied');
    expect((await t.call('dana', 'GET', '/v1/freezes')).body.items).toHaveLength(1);
  });

  it.each([
    [
      'switch on',
      [
        disable,
        { action: 'enable', flag: 'payouts' },
        { action: 'set_audience', flag: 'payouts', audience: { kind: 'none' } },
      ],
    ],
    ['change a definition', [{ action: 'update', flag: 'payouts', set: { tier: 'informational' } }]],
    ['retire', [{ action: 'retire', flag: 'payouts' }]],
    [
      'serve something else',
      [
        {
          action: 'set_rollout',
          flag: 'payouts',
          rollout: [
            { variant: 'off', percent: 50 },
            { variant: 'on', percent: 50 },
          ],
          rules: [
            {
              name: 'r',
              when: [{ attribute: 'plan', operator: 'equals', values: ['x'] }],
              serve: { variant: 'on' },
            },
          ],
        },
        { action: 'disable', flag: 'payouts' },
        { action: 'enable', flag: 'payouts' },
      ],
    ],
  ])('cannot %s', async (_name, changes) => {
    const before = await production();
    const { status, body } = await change((await open()).body, changes);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
    expect(body.reasons.map((reason: { code: string }) => reason.code)).toContain('breakglass_unsafe');
    expect(await production()).toEqual(before);
  });

  it('cannot return to a version that shows the flag to more', async () => {
    await applyChanges(t, [disable]);
    const session = (await open()).body;
    const { body } = await change(session, [{ action: 'return_to_version', flag: 'payouts', version: 2 }]);
    expect(body.code).toBe('policy_denied');
    expect((await production()).enabled).toBe(false);
  });

  it('can return to a version that shows the flag to fewer', async () => {
    const { body } = await change((await open()).body, [
      { action: 'return_to_version', flag: 'payouts', version: 1 },
    ]);
    expect(body.state).toBe('applied');
    expect((await production()).enabled).toBe(false);
  });

  it('cannot lift a freeze', async () => {
    const session = (await open()).body;
    const freeze = (await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', ...ORDER })).body;
    const answer = await t.call('riley', 'POST', `/v1/break-glass/${session.id}/apply`, {
      kind: 'freeze.lift',
      freeze: freeze.id,
    });
    expect(answer.body.code).toBe('invalid_request');
  });

  it('belongs to its person', async () => {
    const session = (await open()).body;
    expect((await change(session, [disable], 'alex')).body.code).toBe('not_found');
    expect((await t.call('alex', 'POST', `/v1/break-glass/${session.id}/close`)).body.code).toBe('not_found');
    expect((await production()).enabled).toBe(true);
  });

  it('is over after its time, to the millisecond, and after it was closed', async () => {
    const first = (await open()).body;
    t.clock.set(first.expires_ms);
    expect((await change(first, [disable])).body.code).toBe('state_conflict');
    const second = (await open()).body;
    expect((await t.call('riley', 'POST', `/v1/break-glass/${second.id}/close`)).body.closed_ms).toBe(
      t.clock(),
    );
    expect((await change(second, [disable])).body.code).toBe('state_conflict');
    expect((await production()).enabled).toBe(true);
  });

  it('is the only open one of its person, however many calls come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => open()));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.body.code === 'state_conflict')).toHaveLength(7);
  });

  it('is the same one for a retry with the same idempotency key', async () => {
    const headers = { 'Idempotency-Key': 'page-1' };
    const first = await t.call('riley+mfa', 'POST', '/v1/break-glass', ORDER, headers);
    const second = await t.call('riley+mfa', 'POST', '/v1/break-glass', ORDER, headers);
    expect(second).toMatchObject({ status: 201, body: { id: first.body.id } });
  });

  it('has a budget: the third within seven days is denied', async () => {
    for (let session = 0; session < 2; session += 1) {
      const { body } = await open();
      await t.call('riley', 'POST', `/v1/break-glass/${body.id}/close`);
      t.clock.advance(60_000);
    }
    expect((await open()).body.reasons).toMatchObject([{ code: 'breakglass_budget_spent' }]);
    t.clock.advance(7 * 24 * 3_600_000);
    expect((await open()).status).toBe(201);
  });

  it.each([
    [{}],
    [{ incident: 'x' }],
    [{ reason: 'x' }],
    [{ ...ORDER, minutes: 600 }],
    [{ incident: '', reason: '' }],
  ])('is not opened with %j', async (order) => {
    expect((await open('riley+mfa', order)).body.code).toBe('invalid_request');
  });
});

describe('a human with several names', () => {
  const chain = { 'emp-9005': 'badge-5', 'badge-5': 'emp-1005' };
  /** The responder's other account, with a name that leads to the first over two aliases. */
  const other = () =>
    t.people.idToken('riley', { mfa: true, claims: { sub: 'riley-2', employee_id: 'EMP-9005' } });

  beforeEach(async () => {
    await t.close();
    t = await startTestBroker({
      editData: (data) => {
        Object.assign((data as { config: { persons: object } }).config.persons, chain);
        return data;
      },
    });
  });

  it('has one open session, which each account uses and closes', async () => {
    const session = (await open()).body;
    expect((await open(await other())).body).toMatchObject({ code: 'state_conflict', session: session.id });
    const closed = await t.call(await other(), 'POST', `/v1/break-glass/${session.id}/close`);
    expect(closed.body.closed_ms).toBe(t.clock());
  });

  it('has one budget', async () => {
    for (const who of ['riley+mfa', await other()]) {
      const { body } = await open(who);
      await t.call(who, 'POST', `/v1/break-glass/${body.id}/close`);
      t.clock.advance(1000);
    }
    for (const who of ['riley+mfa', await other()]) {
      expect((await open(who)).body.reasons).toMatchObject([{ code: 'breakglass_budget_spent' }]);
    }
  });
});
