import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, countRows, createFlag, propose } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/** Friday, 20 November 2026, 18:00 in Berlin: the windows of sensitive changes open again on Monday at 9. */
const FRIDAY_EVENING = Date.UTC(2026, 10, 20, 17, 0);
const WEDNESDAY = Date.UTC(2026, 10, 18, 9, 30);
const MONDAY_9 = Date.UTC(2026, 10, 23, 8, 0);

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({ nowMs: WEDNESDAY });
  await createFlag(t, 'plain');
  await createFlag(t, 'delicate', { tier: 'sensitive' });
  for (const who of ['alex', 'sam', 'casey', 'riley', 'avery', 'dana-alt']) {
    await t.call(who, 'GET', '/v1/whoami');
  }
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

async function explain(who: string, body: unknown): Promise<Reply['body']> {
  const answer = await t.call(who, 'POST', '/v1/policy/explain', body);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
}

const idsOf = (people: { id: string }[]) => people.map(({ id }) => id);

describe('an open request', () => {
  let request: Reply['body'];
  beforeEach(async () => {
    request = (await propose(t, enable('delicate'))).body;
  });

  it('is explained to its author by what is missing, without names', async () => {
    const explained = await explain('dana', { request: request.id });
    expect(explained).toMatchObject({
      about: { type: 'request', id: request.id },
      operation: 'request.apply',
      effect: 'hold',
      reasons: [{ code: 'held_by_tier' }],
      granted_by: [{ principal: 'person:demo:dana', by: 'group', key: 'payments-developers' }],
      who_could: null,
    });
    const kinds = explained.obligations.map((missing: Reply['body']) => missing.obligation.kind);
    expect(kinds).toEqual(['approval', 'ticket', 'window']);
    expect(JSON.stringify(explained)).not.toMatch(/alex|sam|emp-1002|emp-1003/);
    expect(explained.obligations[0]).toMatchObject({ who: null, effect_if_met: null });
    expect(explained.gates).toEqual((await t.call('dana', 'GET', `/v1/requests/${request.id}`)).body.gates);
  });

  it('is explained to an auditor with who could approve it, and the author is not among them', async () => {
    const explained = await explain('avery', { request: request.id });
    const [approval] = explained.obligations;
    expect(idsOf(approval.who)).toEqual(['person:demo:alex', 'person:demo:sam']);
    expect(approval.effect_if_met).toBe('hold');
    expect(explained.if_all_met).toMatchObject({ effect: 'allow', obligations: [], at_ms: MONDAY_9 });
    expect(explained.granted_by).toMatchObject([{ key: 'payments-developers' }]);
  });

  it('says when the window opens, as an instant and in the zone of the window', async () => {
    const explained = await explain('dana', { request: request.id });
    expect(explained.obligations[2].opens).toEqual({
      window: 'business-hours-berlin',
      zone: 'Europe/Berlin',
      opens_ms: MONDAY_9,
      local: '2026-11-23T09:00:00+01:00',
    });
  });

  it('says which single obligation would make it pass', async () => {
    const { body } = await propose(t, enable('plain'));
    expect((await explain('avery', { request: body.id })).obligations).toMatchObject([
      { obligation: { kind: 'approval' }, effect_if_met: 'allow' },
    ]);
  });

  it('changes with each vote', async () => {
    expect((await approve(t, 'alex', request)).status).toBe(200);
    const { obligations } = await explain('dana', { request: request.id });
    expect(obligations.map((missing: Reply['body']) => missing.obligation.kind)).toEqual([
      'ticket',
      'window',
    ]);
  });

  it('that a freeze holds names the freeze among its gates', async () => {
    const order = { scope: 'flag', flag: 'delicate', incident: 'INC-7', reason: 'x' };
    const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
    const explained = await explain('dana', { request: request.id });
    expect(explained).toMatchObject({ effect: 'deny', gates: [{ code: 'frozen' }], who_could: null });
    const lift = await t.call('riley', 'POST', '/v1/requests', {
      kind: 'freeze.lift',
      freeze: freeze.id,
      reason: 'over',
    });
    expect((await approve(t, 'sam', lift.body)).body.state).toBe('applied');
  });

  it('that is closed refers to its last decision', async () => {
    await t.call('dana', 'POST', `/v1/requests/${request.id}/withdraw`);
    const answer = await t.call('dana', 'POST', '/v1/policy/explain', { request: request.id });
    expect([answer.status, answer.body.code]).toEqual([409, 'request_closed']);
    expect(answer.body.detail).toContain(answer.body.decision_id);
    expect((await explain('avery', { decision: answer.body.decision_id })).effect).toBe('hold');
  });

  it('that waits for its start says so', async () => {
    const start_ms = t.clock() + 3_600_000;
    const { body } = await propose(t, enable('plain'), { start_ms });
    const { gates } = await explain('dana', { request: body.id });
    expect(gates.map(({ code }: { code: string }) => code)).toEqual(['approval_required', 'start_time']);
  });
});

describe('a recorded decision', () => {
  it('is explained as of its time, by its effect, its grant and its obligations', async () => {
    const { body } = await propose(t, enable('plain'));
    t.clock.advance(1000);
    const explained = await explain('avery', { decision: body.decision_id });
    expect(explained).toMatchObject({
      about: { type: 'decision', id: body.decision_id },
      operation: 'request.propose',
      principal: { id: 'person:demo:dana' },
      at_ms: t.clock() - 1000,
      effect: 'hold',
      obligations: [{ effect_if_met: 'allow' }],
    });
  });

  it('that denied names the rules that denied, and who would not be denied', async () => {
    const denied = await propose(t, enable('plain'), {}, 'alex');
    expect(denied.status).toBe(403);
    const explained = await explain('avery', { decision: denied.body.decision_id });
    expect(explained).toMatchObject({
      effect: 'deny',
      reasons: [{ code: 'role_missing' }],
      granted_by: [],
      gates: [{ code: 'role_missing' }],
      obligations: [],
      if_all_met: null,
    });
    expect(idsOf(explained.who_could)).toContain('person:demo:dana');
    expect(idsOf(explained.who_could)).not.toContain('person:demo:casey');
  });

  it('that no policy made cannot be explained, and says why', async () => {
    const { id } = readRecords(t.file)[0] ?? expect.unreachable();
    const { status, body } = await t.call('avery', 'POST', '/v1/policy/explain', { decision: id });
    expect([status, body.code, body.why]).toEqual([409, 'state_conflict', 'no_policy']);
  });

  it('is explained to those who may read the log only, and to them only if it exists', async () => {
    const { body } = await propose(t, enable('plain'));
    for (const decision of [body.decision_id, 'x']) {
      const refused = await t.call('dana', 'POST', '/v1/policy/explain', { decision });
      expect([refused.status, refused.body.code]).toEqual([403, 'policy_denied']);
    }
    const { status } = await t.call('avery', 'POST', '/v1/policy/explain', { decision: 'x' });
    expect(status).toBe(404);
  });
});

describe('what if', () => {
  it('asks as oneself, and writes nothing', async () => {
    const before = await countRows(t);
    expect(await explain('dana', { what_if: { content: content('plain') } })).toMatchObject({
      about: { type: 'what_if', id: null },
      operation: 'request.propose',
      effect: 'hold',
      obligations: [{ gate: { code: 'approval_required', call: null } }],
    });
    expect(await countRows(t)).toEqual(before);
  });

  it('judges by the place: in staging the same change needs nobody', async () => {
    const staging = { environment: 'staging' };
    const there = await explain('dana', { what_if: { content: content('plain', staging) } });
    expect(there).toMatchObject({ effect: 'allow', reasons: [{ code: 'self_service' }], obligations: [] });
  });

  it.each([
    ['a principal', { principal: 'person:demo:alex' }, 'deny', 'person:demo:alex'],
    ['a person', { principal: 'EMP-1001' }, 'hold', 'person:demo:dana'],
    ['groups', { groups: ['payments-developers'] }, 'hold', 'person:what-if'],
    ['groups of nothing', { groups: ['nobody'] }, 'deny', 'person:what-if'],
  ])('asks as %s for who may read access, and records that they did', async (_, as, effect, id) => {
    const issuer = 'groups' in as ? { issuer: t.people.issuer } : {};
    const before = readRecords(t.file).length;
    const explained = await explain('avery', {
      what_if: { as: { ...as, ...issuer }, content: content('plain') },
    });
    expect([explained.effect, explained.principal.id.replace('-alt', '')]).toEqual([effect, id]);
    const records = readRecords(t.file).slice(before);
    expect(records.map(({ operation, outcome }) => [operation, outcome])).toEqual([
      ['access.read', 'allow'],
      ['access.read', 'allow'],
    ]);
  });

  it('asks about an operation without a change', async () => {
    const what_if = { as: { principal: 'emp-1002' }, operation: 'decision.read' };
    const explained = await explain('avery', { what_if });
    expect(explained).toMatchObject({ operation: 'decision.read', effect: 'deny' });
    expect(idsOf(explained.who_could)).toEqual(['person:demo:avery']);
    expect(await explain('dana', { what_if: { operation: 'flag.read' } })).toMatchObject({ effect: 'allow' });
  });

  it.each([
    ['freeze.engage', 'riley', 'allow', []],
    ['freeze.engage', 'dana', 'deny', ['role_missing']],
    ['breakglass.open', 'riley', 'hold', ['sign_in_required']],
    ['breakglass.open', 'riley+mfa', 'allow', []],
    ['breakglass.open', 'alex+mfa', 'deny', ['role_missing']],
    ['revocation.add', 'riley', 'allow', []],
    ['revocation.add', 'casey', 'deny', ['role_missing']],
  ])('says of %s to %s, who have written no reason yet: %s %j', async (operation, who, effect, denied) => {
    const { status, body } = await t.call(who, 'POST', '/v1/policy/explain', { what_if: { operation } });
    expect([status, body.effect]).toEqual([200, effect]);
    expect(body.gates.map(({ code }: { code: string }) => code)).toEqual(denied);
  });

  it('counts the sessions of the week when it says whether another one may be opened', async () => {
    const what_if = { operation: 'breakglass.open' };
    for (const _ of [1, 2]) {
      const order = { incident: 'INC-7', reason: 'practice' };
      const session = await t.call('riley+mfa', 'POST', '/v1/break-glass', order);
      await t.call('riley+mfa', 'POST', `/v1/break-glass/${session.body.id}/close`);
    }
    const { body } = await t.call('riley+mfa', 'POST', '/v1/policy/explain', { what_if });
    expect([body.effect, body.reasons[0].code]).toEqual(['deny', 'breakglass_budget_spent']);
  });

  it('asks about a freeze in its own place', async () => {
    const ask = async (environment: string | null) =>
      (
        await explain('riley', {
          what_if: { operation: 'freeze.engage', environment, namespace: 'payments' },
        })
      ).effect;
    expect([await ask(null), await ask('production')]).toEqual(['allow', 'allow']);
  });

  it.each(['dana', 'alex', 'riley'])(
    'is not asked as somebody else by %s, and that is recorded',
    async (who) => {
      const as = { principal: 'emp-1003' };
      for (const body of [{ content: content('plain') }, { operation: 'flag.read' }]) {
        const refused = await t.call(who, 'POST', '/v1/policy/explain', { what_if: { as, ...body } });
        expect([refused.status, refused.body.code]).toEqual([403, 'policy_denied']);
        expect(readRecords(t.file).at(-1)).toMatchObject({ operation: 'access.read', outcome: 'deny' });
      }
    },
  );

  it('as somebody unknown is refused', async () => {
    const what_if = { as: { principal: 'emp-nobody' }, operation: 'flag.read' };
    const { status, body } = await t.call('avery', 'POST', '/v1/policy/explain', { what_if });
    expect([status, body.code, body.errors[0].pointer]).toEqual([404, 'not_found', '#/what_if/as/principal']);
  });

  it('of a change that cannot be made says so', async () => {
    const changes = [{ action: 'return_to_version', flag: 'plain', version: 99 }];
    const what_if = { content: content('plain', { changes }) };
    const { status, body } = await t.call('dana', 'POST', '/v1/policy/explain', { what_if });
    expect([status, body.code]).toEqual([422, 'invalid_change']);
  });

  it('tells nobody that a key is taken', async () => {
    const definition = {
      ...{ namespace: 'payments', kind: 'release', tier: 'operational', owner: 'team-payments' },
      ...{ purpose: 'x', variants: { on: true, off: false }, retirement: 'x' },
    };
    const ask = (flag: string) =>
      explain('dana', {
        what_if: { content: content(flag, { changes: [{ action: 'create', flag, definition }] }) },
      });
    expect(await ask('plain')).toEqual(await ask('quite-new'));
  });

  it.each([
    {},
    { request: 'x' },
    { decision: 'x', request: 'x' },
    { what_if: {} },
    { what_if: { operation: 'request.apply' } },
  ])('refuses %j', async (body) => {
    const answer = await t.call('avery', 'POST', '/v1/policy/explain', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  });
});
