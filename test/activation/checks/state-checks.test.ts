import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn } from '../../support/activation.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { checksOf, reportOf } from '../../support/checks.ts';
import { approve, createFlag, propose } from '../../support/flags.ts';

/*
 * The checks of a candidate against the broker's state, on a real broker: access, open requests, flags and the next
 * activation are in the report that people approve.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await signIn(t, ['morgan', 'jordan', 'sam', 'dana', 'casey', 'riley', 'avery']);
});

afterEach(() => t.close());

const rowed = (patch: unknown[], fields: object = {}) =>
  t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', patch, reason: 'a test', ...fields });
const group = (name: string) =>
  `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/${name}`;
const developer = { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] };
const rule = (tier: string, movement: 'raise' | 'lower') =>
  `/config/tiers/${tier}/production/${movement}/approvals`;

async function approved(request: { id: string; digest: string }) {
  await approve(t, 'jordan', request as never);
  return (await approve(t, 'sam', request as never)).body;
}

describe('the report of a row', () => {
  it('names who gains what, and through which binding', async () => {
    const { body } = await rowed([{ op: 'add', path: `${group('customer-success')}/-`, value: developer }]);
    expect(body, JSON.stringify(body)).toMatchObject({ state: 'pending' });
    const { report } = await reportOf(t, body);
    expect(report.access.gained.principals).toMatchObject([
      { names: ['emp-1004'], count: 1, by: [{ by: 'group', key: 'customer-success' }] },
    ]);
    const operations = report.access.gained.principals[0].rights.map(
      ({ operation }: { operation: string }) => operation,
    );
    expect(operations).toEqual(expect.arrayContaining(['request.propose', 'agent.delegate', 'request.edit']));
    expect(report.access.lost.principals).toEqual([]);
    expect(report.changes_nothing).toBe(false);
    expect(report.next_activation).toMatchObject({ approvals: 2, nobody: null, warnings: [] });
    expect(report.next_activation.proposers.length).toBeGreaterThan(0);
  });

  it('says what becomes of open requests, and what existing flags need', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'operational' });
    const pending = (await propose(t, [{ action: 'enable', flag }])).body;
    expect(pending.state).toBe('pending');
    const { body } = await rowed([{ op: 'replace', path: rule('operational', 'raise'), value: {} }]);
    const { report } = await reportOf(t, body);
    expect(report.open_requests.lines).toMatchObject([
      {
        ...{ kind: 'flag.change', environment: 'production', namespaces: ['payments'], change: 'allowed' },
        before: { effect: 'hold', needs: ['1 approval by flag-approver'] },
        after: { effect: 'allow', needs: [] },
        requests: [{ id: pending.id, flags: ['checkout'] }],
      },
    ]);
    expect(report.flags.lines).toMatchObject([
      {
        ...{ environment: 'production', tier: 'operational', namespace: 'payments', movement: 'raise' },
        ...{ change: 'allowed', flags: 1, names: ['checkout'] },
      },
    ]);
    // It happens as the report said, as soon as the policy is active.
    expect(await approved(body)).toMatchObject({ state: 'applied' });
    const applied = await t.call('dana', 'POST', `/v1/requests/${pending.id}/apply`, {});
    expect(applied.body).toMatchObject({ state: 'applied' });
  });

  it('that gives more at its time than was approved conflicts, and names who gains', async () => {
    const ghosts = { ...developer, roles: ['flag-approver', 'flag-reader'] };
    const { body } = await rowed([{ op: 'add', path: group('ghosts'), value: [ghosts] }]);
    expect((await reportOf(t, body)).report.access.gained).toMatchObject({
      principals: [],
      bindings: [{ key: 'ghosts', holders: 0 }],
    });
    // Somebody who has the group signs in before it is applied.
    const token = await t.people.idToken('alex', { claims: { groups: ['ghosts'] } });
    await t.call(token, 'GET', '/v1/whoami');
    await t.broker.scheduler.tick();
    await approve(t, 'jordan', body);
    const answer = (await approve(t, 'sam', body)).body;
    expect(answer.state).toBe('conflicted');
    expect(answer.standing.conflict).toMatch(
      /access was gained since the approval: emp-1002 may .*request\.approve/,
    );
  });
});

describe('who sees which part of a report', () => {
  it('leaves out flags, requests and access for those who may not read them', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'operational' });
    await propose(t, [{ action: 'enable', flag }]);
    const patch = [{ op: 'replace', path: rule('operational', 'raise'), value: {} }];
    const { result } = await checksOf(t, { patch });
    expect(result.report.open_requests.lines).toHaveLength(1);
    expect(result.report.access).toBeDefined();
    const { body } = await rowed(patch);
    // The second approver is shown the report as well, and a developer is told nothing.
    const seen = await reportOf(t, body, 'sam');
    expect(seen.report.flags.lines).toHaveLength(1);
    const digest = body.bases.find(({ of }: { of: string }) => of.startsWith('report:')).of.slice(7);
    expect((await t.call('dana', 'GET', `/v1/policy/reports/${digest}`)).status).toBe(403);
  });
});
