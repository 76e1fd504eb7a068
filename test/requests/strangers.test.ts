import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, propose } from '../support/flags.ts';

/** What those learn who may not read: nothing, whichever way they try. */

let t: TestBroker;
let stranger: string;

/** A reader whose role ends at development. */
function bindDevelopmentReader(data: unknown): unknown {
  const edited = structuredClone(data) as {
    config: { role_bindings: { groups: Record<string, Record<string, unknown>> } };
  };
  for (const groups of Object.values(edited.config.role_bindings.groups)) {
    groups['development-readers'] = [
      { roles: ['flag-reader'], namespaces: ['payments'], environments: ['development'] },
    ];
  }
  return edited;
}

beforeAll(async () => {
  t = await startTestBroker({ editData: bindDevelopmentReader });
  stranger = await t.workloadToken('checkout', { audience: 'data:development' });
  await createFlag(t, 'secret.flag');
});
afterAll(() => t.close());

async function readerToken(): Promise<string> {
  return t.people.idToken('avery', { claims: { groups: ['development-readers'] } });
}

describe('a principal without a role', () => {
  it('is not told what is wrong with a change to a flag it may not read', async () => {
    for (const change of [
      { action: 'disable', flag: 'secret.flag' },
      { action: 'set_rollout', flag: 'secret.flag', default_variant: 'zz' },
      { action: 'enable', flag: 'no.such.flag' },
    ]) {
      const { status, body } = await propose(t, [change], {}, stranger);
      expect({ change, status, code: body.code }).toEqual({ change, status: 403, code: 'policy_denied' });
    }
  });

  it('is not told digest or state of a request by approving the wrong content', async () => {
    const { body } = await propose(t, [{ action: 'enable', flag: 'secret.flag' }]);
    const wrong = { digest: `sha256:${'0'.repeat(64)}` };
    for (const verb of ['approve', 'apply', 'withdraw']) {
      const answer = await t.call(stranger, 'POST', `/v1/requests/${body.id}/${verb}`, wrong);
      expect([answer.status, answer.body.code, answer.body.digest]).toEqual([
        403,
        'policy_denied',
        undefined,
      ]);
    }
    const reader = await t.call('alex', 'POST', `/v1/requests/${body.id}/approve`, wrong);
    expect([reader.status, reader.body.code]).toEqual([409, 'digest_mismatch']);
  });

  it('is not shown an applied request by asking to apply it again', async () => {
    const applied = await applyChanges(t, [{ action: 'enable', flag: 'secret.flag' }]);
    const path = `/v1/requests/${applied.id}/apply`;
    expect((await t.call(stranger, 'POST', path)).status).toBe(403);
    expect((await t.call('dana', 'POST', path)).body.state).toBe('applied');
  });
});

describe('a reader of one environment', () => {
  it('sees no request and no state of another by leaving the filter out', async () => {
    const reader = await readerToken();
    const requests = await t.call(reader, 'GET', '/v1/requests');
    expect([requests.status, requests.body.items]).toEqual([200, []]);
    const flag = await t.call(reader, 'GET', '/v1/flags/secret.flag');
    expect(Object.keys(flag.body.states)).toEqual(['development']);
  });
});

describe('the record of an edit that is denied', () => {
  it('is about the content that was judged', async () => {
    const mine = await createFlag(t, 'mine.flag');
    const { body } = await propose(t, [{ action: 'enable', flag: mine }]);
    const path = `/v1/requests/${body.id}`;
    const denied = await t.call('alex', 'PATCH', path, { reason: 'mine now' }, { 'If-Match': '*' });
    expect(denied.status).toBe(403);
    const record = await t.call('avery', 'GET', `/v1/decisions/${denied.body.decision_id}`);
    expect(record.body.request.digest).toBe(record.body.input.request.digest);
    await approve(t, 'alex', body);
  });
});
