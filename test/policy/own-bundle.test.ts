import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { approve, creation, propose, readFlag } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';

/*
 * fixtures/bundles/anybody is what a customer could write: other Rego, other data, the same entry point. It allows more
 * than any policy may, so that the guardrails have something to hold.
 */

let t: TestBroker;
let colleague: string;

beforeAll(async () => {
  // Saturday night: the shipped policy would hold everything.
  t = await startTestBroker({
    archive: await readFixtureBundle('anybody'),
    nowMs: Date.UTC(2026, 10, 21, 23),
  });
  colleague = await t.people.idToken('casey', { claims: { groups: ['anybody'] } });
});

afterAll(() => t.close());

async function create(flag: string): Promise<Reply['body']> {
  const { body } = await propose(t, [creation(flag, { tier: 'high-risk' })]);
  return (await approve(t, colleague, body)).body;
}

describe("a customer's own policy", () => {
  it('decides without a change of the broker: its roles, its environments, its time to live', async () => {
    const { body } = await propose(t, [creation('own')], { environment: 'sandbox' });
    expect(body).toMatchObject({
      state: 'pending',
      standing: { obligations: [{ kind: 'approval', role: 'anybody', count: 1 }] },
      gates: [{ code: 'approval_required', cleared_by: 'anybody' }],
    });
    expect(body.expires_ms - body.created_ms).toBe(86_400_000);
    expect((await approve(t, 'alex', body)).body.state).toBe('pending');
    expect((await approve(t, colleague, body)).body.state).toBe('applied');
    expect(Object.keys((await readFlag(t, 'own')).states).sort()).toEqual(['production', 'sandbox']);
    expect((await propose(t, [creation('other')], { environment: 'staging' })).body.code).toBe('not_found');
  });

  it('cannot let anybody approve what they wrote, under whichever account', async () => {
    const { body } = await propose(t, [creation('mine')]);
    const groups = { claims: { groups: ['anybody'] } };
    for (const who of ['dana', 'dana-alt']) {
      const answer = await approve(t, await t.people.idToken(who, groups), body);
      expect(answer.body).toMatchObject({ code: 'policy_denied', reasons: [{ code: 'self_approval' }] });
    }
  });

  it('cannot let an editor approve', async () => {
    const { body } = await propose(t, [creation('edited')]);
    const edited = await t.call(
      colleague,
      'PATCH',
      `/v1/requests/${body.id}`,
      { reason: 'mine now' },
      { 'If-Match': '*' },
    );
    expect(edited.body.authors).toEqual(['emp-1001', 'emp-1004']);
    expect((await approve(t, colleague, edited.body)).body.reasons).toMatchObject([
      { code: 'self_approval' },
    ]);
  });

  it('is never shown an approval of other content, so it cannot count one', async () => {
    const { body } = await propose(t, [creation('reworded')], { apply: 'manual' });
    expect((await approve(t, colleague, body)).body.state).toBe('ready');
    const path = `/v1/requests/${body.id}`;
    const edited = await t.call('dana', 'PATCH', path, { reason: 'reworded' }, { 'If-Match': '*' });
    expect(edited.body).toMatchObject({ state: 'pending', approvals: [{ counts: false }] });
    expect((await t.call('dana', 'POST', `${path}/apply`)).status).toBe(403);
    expect((await t.call('dana', 'GET', '/v1/flags/reworded')).status).toBe(404);
  });

  it('cannot switch anything on under a freeze, and may switch off', async () => {
    await create('frozen');
    const on = await propose(t, [{ action: 'enable', flag: 'frozen' }]);
    const { body: freeze } = await t.call('dana', 'POST', '/v1/freezes', {
      scope: 'flag',
      flag: 'frozen',
      incident: 'I-1',
      reason: 'x',
    });
    expect(freeze.scope).toBe('flag');
    expect((await approve(t, colleague, on.body)).body).toMatchObject({
      state: 'pending',
      gates: [{ code: 'frozen' }],
    });
    expect((await readFlag(t, 'frozen')).states.production.enabled).toBe(false);
  });

  it('cannot make break-glass switch on, or work without a session', async () => {
    await create('broken');
    const { body: session } = await t.call('dana', 'POST', '/v1/break-glass', {
      incident: 'I-2',
      reason: 'x',
    });
    const change = (action: string) =>
      t.call('dana', 'POST', `/v1/break-glass/${session.id}/apply`, {
        environment: 'production',
        changes: [{ action, flag: 'broken' }],
      });
    expect((await change('enable')).body.reasons).toMatchObject([{ code: 'breakglass_unsafe' }]);
    expect((await change('retire')).body.reasons).toMatchObject([{ code: 'breakglass_unsafe' }]);
    expect((await readFlag(t, 'broken')).states.production.enabled).toBe(false);
  });

  it('cannot keep a request alive: an approval after the end applies nothing', async () => {
    const { body } = await propose(t, [creation('late')]);
    t.clock.set(body.expires_ms);
    const late = await t.people.idToken('casey', { claims: { groups: ['anybody'] } });
    expect((await approve(t, late, body)).body).toMatchObject({ code: 'request_closed', state: 'expired' });
    expect((await t.call('dana', 'GET', '/v1/flags/late')).status).toBe(404);
  });

  it('leaves a log that explains every state, version, approval and freeze', async () => {
    expect(await findContradictions(t.file)).toEqual([]);
  });
});
