import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readFlag, readRequest, TICKET } from '../support/flags.ts';

let t: TestBroker;
let flags = 0;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

/** A pending request to enable a flag of its own. */
async function pending(tier = 'operational', fields: Record<string, unknown> = {}): Promise<Reply['body']> {
  flags += 1;
  const flag = await createFlag(t, `flag-${flags}`, { tier });
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET, ...fields });
  expect(body.state).toBe('pending');
  return body;
}

function flagOf(request: Reply['body']): string {
  return request.changes[0].flag.key;
}

function reject(who: string, request: Reply['body']): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${request.id}/reject`, { digest: request.digest, comment: 'no' });
}

describe('an approval', () => {
  it('applies the request when it was the last thing missing', async () => {
    const request = await pending();
    const { status, body } = await approve(t, 'alex', request);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      state: 'applied',
      approvals: [{ person: 'emp-1002', digest: request.digest, counts: true }],
    });
    expect((await readFlag(t, flagOf(request))).states.production.enabled).toBe(true);
  });

  it('names the digest that its giver has read, and no other', async () => {
    const request = await pending();
    const { status, body } = await approve(t, 'alex', { ...request, digest: `sha256:${'0'.repeat(64)}` });
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'digest_mismatch' });
    expect(body).toMatchObject({ digest: request.digest, gates: [{ call: { method: 'GET' } }] });
    expect((await readRequest(t, request.id)).approvals).toEqual([]);
  });

  it.each([
    ['the proposer', 'dana', 'self_approval'],
    ['a second account of the proposer', 'dana-alt', 'self_approval'],
    ['somebody without the role', 'avery', 'role_missing'],
  ])('by %s is denied and does not count', async (_name, who, code) => {
    const request = await pending();
    const { status, body } = await approve(t, who, request);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
    expect(body.reasons.map((reason: { code: string }) => reason.code)).toContain(code);
    expect(await readRequest(t, request.id)).toMatchObject({ state: 'pending', approvals: [] });
  });

  it('by a workload is denied, whatever its token is for', async () => {
    const request = await pending();
    const { status, body } = await approve(t, await t.workloadToken(), request);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
  });

  it('of what a job proposed is denied to the human who triggered the job, under every account', async () => {
    const flag = await createFlag(t, 'job-flag');
    const { body } = await propose(t, [{ action: 'enable', flag }], {}, await t.workloadToken());
    for (const who of ['dana-alt', 'dana']) {
      expect((await approve(t, who, body)).body.reasons).toContainEqual(
        expect.objectContaining({ code: 'self_approval' }),
      );
    }
    expect((await approve(t, 'alex', body)).body.state).toBe('applied');
  });

  it('given twice by one person counts once', async () => {
    const request = await pending('high-risk');
    await approve(t, 'alex+mfa', request);
    const { body } = await approve(t, 'alex+mfa', request);
    expect(body).toMatchObject({ state: 'pending', gates: [{ cleared_by: 'security-approver' }, {}] });
    expect(body.approvals).toHaveLength(1);
  });

  it('of a high-risk change without a fresh strong sign-in is answered with a challenge', async () => {
    const request = await pending('high-risk');
    const { status, body, headers } = await approve(t, 'alex', request);
    expect({ status, code: body.code }).toEqual({ status: 401, code: 'sign_in_required' });
    expect(body).toMatchObject({ level: 2, max_age_s: 900, gates: [{ code: 'sign_in_required' }] });
    expect(headers.get('www-authenticate')).toMatch(
      /^Bearer error="insufficient_user_authentication", .*max_age="900"(, resource_metadata="[^"]+")?$/,
    );
    expect((await readRequest(t, request.id)).approvals).toEqual([]);
  });

  it('of a high-risk change with a strong sign-in of an hour ago is answered with a challenge too', async () => {
    const request = await pending('high-risk');
    const stale = await t.people.idToken('alex', { mfa: true, authAgeS: 3600 });
    expect((await approve(t, stale, request)).body.code).toBe('sign_in_required');
  });

  it('of a high-risk change is asked from two persons, one of them from security', async () => {
    const request = await pending('high-risk');
    expect((await approve(t, 'sam+mfa', request)).body.state).toBe('pending');
    expect((await approve(t, 'alex+mfa', request)).body.state).toBe('applied');
  });

  it('for an organization comes from the one who speaks for it', async () => {
    const flag = await createFlag(t, 'entitled', { tier: 'sensitive' });
    const audience = { kind: 'some', organizations: ['acme', 'initech'], users: [] };
    const changes = [
      { action: 'set_audience', flag, audience },
      { action: 'enable', flag },
    ];
    const { body } = await propose(t, changes, { ticket: TICKET });
    await approve(t, 'alex', body);
    const answer = await approve(t, 'casey', body);
    expect(answer.body.standing.obligations).toEqual([
      { kind: 'approval', role: 'account-approver', count: 1, organization: 'initech' },
    ]);
  });
});

describe('a rejection', () => {
  it('ends the request for good', async () => {
    const request = await pending();
    expect((await reject('alex', request)).body).toMatchObject({
      state: 'rejected',
      rejections: [{ person: 'emp-1002', comment: 'no', counts: true }],
    });
    const { status, body } = await approve(t, 'sam', request);
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'request_closed' });
    expect((await readFlag(t, flagOf(request))).states.production.enabled).toBe(false);
  });

  it('replaces an earlier approval of the same person', async () => {
    const request = await pending('high-risk');
    await approve(t, 'alex+mfa', request);
    const { body } = await reject('alex', request);
    expect(body).toMatchObject({ state: 'rejected', approvals: [], rejections: [{ person: 'emp-1002' }] });
  });

  it.each(['dana', 'dana-alt', 'avery'])('is denied to %s', async (who) => {
    const request = await pending();
    expect((await reject(who, request)).status).toBe(403);
    expect((await readRequest(t, request.id)).state).toBe('pending');
  });

  it('names the digest that its giver has read', async () => {
    const request = await pending();
    expect((await reject('alex', { ...request, digest: `sha256:${'1'.repeat(64)}` })).body.code).toBe(
      'digest_mismatch',
    );
  });
});
