import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag, creation, proposal, propose, readFlag, TICKET } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'plain', { tier: 'informational' });
  await createFlag(t, 'checkout');
  await createFlag(t, 'ledger', { tier: 'sensitive' });
  await createFlag(t, 'payouts', { tier: 'high-risk' });
});

afterAll(() => t.close());

const enable = (flag: string) => ({ action: 'enable', flag });

describe('a proposal', () => {
  it('is applied at once where the tier asks for nothing', async () => {
    const { status, body, headers } = await propose(t, [enable('plain')]);
    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'applied', gates: [], revision: 1 });
    expect(headers.get('location')).toBe(`/v1/requests/${body.id}`);
    const read = await t.call('dana', 'GET', `/v1/requests/${body.id}`);
    const { receipts, ...request } = read.body;
    expect(request).toEqual(body);
    expect(receipts).toMatchObject([{ environment: 'production', version: expect.any(Number) }]);
    expect((await readFlag(t, 'plain')).states.production).toMatchObject({ enabled: true, version: 2 });
  });

  it('waits as pending while an approval is missing, and the flag stays as it is', async () => {
    const { status, body, headers } = await propose(t, [enable('checkout')]);
    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'pending', standing: { effect: 'hold' } });
    const read = await t.call('dana', 'GET', `/v1/requests/${body.id}`);
    expect(headers.get('etag')).toBe(read.headers.get('etag'));
    expect(body.gates).toEqual([
      {
        code: 'approval_required',
        detail: expect.any(String),
        cleared_by: 'flag-approver',
        call: {
          method: 'POST',
          path: `/v1/requests/${body.id}/approve`,
          body: { digest: body.digest },
        },
        scope: [{ namespace: 'payments', environment: 'production' }],
      },
    ]);
    expect((await readFlag(t, 'checkout')).states.production).toMatchObject({ enabled: false, version: 1 });
  });

  it('lists a gate for everything that a sensitive change still requires', async () => {
    t.clock.set(Date.UTC(2026, 10, 20, 20));
    const audience = { kind: 'some', organizations: ['acme', 'globex'], users: [] };
    const { body } = await propose(t, [
      { action: 'set_audience', flag: 'ledger', audience },
      enable('ledger'),
    ]);
    t.clock.set(Date.UTC(2026, 10, 25, 9, 30));
    expect(body.state).toBe('pending');
    expect(body.gates.map((gate: { code: string }) => gate.code).sort()).toEqual([
      'approval_required',
      'approval_required',
      'approval_required',
      'ticket_required',
      'window_closed',
    ]);
    for (const gate of body.gates) expect(gate.cleared_by).not.toBe('');
  });

  it('is ready when nothing but a closed window is missing', async () => {
    t.clock.set(Date.UTC(2026, 10, 27, 22, 30));
    const { body } = await propose(t, [enable('payouts')], { ticket: TICKET });
    for (const who of ['alex+mfa', 'sam+mfa']) {
      await t.call(who, 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
    }
    const read = await t.call('dana', 'GET', `/v1/requests/${body.id}`);
    t.clock.set(Date.UTC(2026, 11, 2, 9, 30));
    // Friday night in Berlin; the night in New York is the first of the two windows to open.
    expect(read.body).toMatchObject({
      state: 'ready',
      gates: [
        {
          code: 'window_closed',
          detail: expect.stringMatching(
            /: business-hours-berlin, maintenance-night-new-york\. It opens on Sat 28 Nov 2026, 22:00 \(America\/New_York\)\.$/,
          ),
          cleared_by: 'time',
          opens_ms: Date.UTC(2026, 10, 29, 3),
        },
      ],
    });
  });

  it('waits for a call where its author asked for that', async () => {
    const { body } = await propose(t, [{ action: 'disable', flag: 'plain' }], { apply: 'manual' });
    expect(body).toMatchObject({ state: 'ready', gates: [{ code: 'apply_required' }] });
    const applied = await t.call('dana', 'POST', `/v1/requests/${body.id}/apply`);
    expect(applied.body.state).toBe('applied');
    expect((await readFlag(t, 'plain')).states.production.enabled).toBe(false);
  });

  it('is refused with reasons and gates where policy denies, and the refusal is recorded', async () => {
    const before = await countRows(t);
    const { status, body } = await propose(t, [creation('elsewhere', { namespace: 'growth' })]);
    expect(status).toBe(403);
    expect(body).toMatchObject({
      code: 'policy_denied',
      reasons: [{ code: 'role_missing' }],
      gates: [{ code: 'role_missing' }],
      policy_hash: expect.stringMatching(/^sha256:/),
    });
    const after = await countRows(t);
    expect(after).toEqual({
      ...before,
      records: (before.records ?? 0) + 1,
      details: (before.details ?? 0) + 1,
    });
    const found = await t.call('avery', 'GET', `/v1/decisions/${body.decision_id}`);
    expect(found.body).toMatchObject({ operation: 'request.propose', outcome: { effect: 'deny' } });
  });

  it.each([
    ['no effect', [enable('checkout'), { action: 'disable', flag: 'plain' }], '#/changes/1'],
    ['a key that was used', [creation('checkout')], '#/changes/0/flag'],
    [
      'a version that never was',
      [{ action: 'return_to_version', flag: 'checkout', version: 99 }],
      '#/changes/0/version',
    ],
  ])('with %s is an invalid change, and leaves nothing behind', async (_name, changes, pointer) => {
    const before = await countRows(t);
    const { status, body } = await propose(t, changes);
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'invalid_change' });
    expect(body.errors[0].pointer).toBe(pointer);
    expect(await countRows(t)).toEqual(before);
  });

  it('names only flags that exist', async () => {
    const { status, body } = await propose(t, [enable('nobody-knows')]);
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' });
    expect(body.errors[0]).toMatchObject({ pointer: '#/changes/0/flag' });
  });

  it('names only environments that the policy knows', async () => {
    const { status, body } = await propose(t, [enable('checkout')], { environment: 'moon' });
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' });
    expect(body.errors[0]).toMatchObject({ pointer: '#/environment' });
  });

  it('cannot start in the past', async () => {
    const { status, body } = await propose(t, [enable('checkout')], { start_ms: t.clock() });
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'invalid_change' });
  });

  it('has the same content and digest however the lines of its reason end', async () => {
    const [unix, windows] = await Promise.all(
      ['fix\n\nthe refund', 'fix\r\n\r\nthe refund'].map((reason) =>
        propose(t, [enable('checkout')], { start_ms: t.clock() + 3_600_000, reason }),
      ),
    );
    expect(windows?.body.reason).toBe('fix\n\nthe refund');
    expect(windows?.body.digest).toBe(unix?.body.digest);
  });

  it('has the same content and digest however its start is written', async () => {
    const start_ms = t.clock() + 3_600_000;
    const number = await propose(t, [enable('checkout')], { start_ms });
    const text = await propose(t, [enable('checkout')], { start_ms: new Date(start_ms).toISOString() });
    expect([number.body.start_ms, text.body.start_ms]).toEqual([start_ms, start_ms]);
    expect(text.body.digest).toBe(number.body.digest);

    const path = `/v1/requests/${text.body.id}`;
    const later = { start_ms: new Date(start_ms + 1000).toISOString() };
    const edited = await t.call('dana', 'PATCH', path, later, { 'If-Match': '*' });
    expect(edited.body).toMatchObject({ start_ms: start_ms + 1000, revision: 2 });
  });

  it('takes no facts, digest or author from its caller', async () => {
    for (const field of ['facts', 'digest', 'authors', 'proposer', 'state', 'bases']) {
      const { status, body } = await t.call('dana', 'POST', '/v1/requests', {
        ...proposal([enable('checkout')]),
        [field]: 'mine',
      });
      expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_request' });
    }
  });

  it('of a pipeline names the job and the human who triggered it', async () => {
    const token = await t.workloadToken();
    const { status, body } = await propose(t, [enable('checkout')], {}, token);
    expect(status).toBe(201);
    expect(body.proposer).toMatchObject({ kind: 'workload', person: 'github:5001' });
    expect(body.authors).toEqual(['github:5001']);
    // What proved it: the job, as its platform signed it, and no sign-in.
    expect(body.proposer).toMatchObject({ trust_rule: 'payments-deploy', auth: null });
    expect(body.proposer.claims).toMatchObject({ repository: 'acme/payments' });
    expect((await t.call('alex', 'GET', `/v1/requests/${body.id}`)).body.proposer).toEqual(body.proposer);
  });

  it('of a person says how and when they signed in, and nothing else of them', async () => {
    const { body } = await propose(t, [enable('checkout')]);
    expect(body.proposer).toEqual({
      id: 'person:demo:dana',
      kind: 'person',
      person: 'emp-1001',
      issuer: expect.stringMatching(/^http/),
      claims: {},
      auth: { level: 1, auth_time_ms: expect.any(Number) },
      trust_rule: null,
    });
  });

  it('gives back what its authors wrote, to be edited from there', async () => {
    const changes = [enable('checkout')];
    const { body } = await propose(t, changes, { start_ms: t.clock() + 3_600_000 });
    const read = (await t.call('alex', 'GET', `/v1/requests/${body.id}`)).body;
    expect(read.content).toEqual({
      kind: 'flag.change',
      environment: 'production',
      changes,
      ...{ reason: body.reason, ticket: body.ticket, apply: 'auto', start_ms: t.clock() + 3_600_000 },
    });
    const same = await t.call('dana', 'PATCH', `/v1/requests/${body.id}`, {
      changes: read.content.changes,
      digest: read.digest,
    });
    expect(same.body).toMatchObject({ digest: read.digest, content: read.content });
    const other = [...changes, { action: 'set_audience', flag: 'checkout', audience: { kind: 'none' } }];
    const edited = await t.call('dana', 'PATCH', `/v1/requests/${body.id}`, {
      changes: other,
      digest: read.digest,
    });
    expect(edited.body.content.changes).toEqual(other);
    expect(edited.body.digest).not.toBe(read.digest);
  });

  it('of somebody without a token is refused before anything is read', async () => {
    const before = await countRows(t);
    const { status, body, headers } = await propose(t, [enable('checkout')], {}, null as never);
    expect({ status, code: body.code }).toEqual({ status: 401, code: 'unauthenticated' });
    expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(await countRows(t)).toEqual(before);
  });
});
