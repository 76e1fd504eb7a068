import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker, WORKING_HOURS_MS } from '../support/broker.ts';
import { approve, createFlag, propose, readFlag, readRequest, TICKET } from '../support/flags.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
});

afterEach(() => t.close());

const enable = { action: 'enable', flag: 'checkout' };

function post(
  who: string,
  request: Reply['body'],
  verb: string,
  body?: unknown,
  headers = {},
): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${request.id}/${verb}`, body, headers);
}

async function enabled(): Promise<boolean> {
  return (await readFlag(t, 'checkout')).states.production.enabled;
}

describe('an edit', () => {
  it('gives a new digest, and voids the approvals given before', async () => {
    await createFlag(t, 'payouts', { tier: 'high-risk' });
    const { body } = await propose(t, [{ action: 'enable', flag: 'payouts' }], { ticket: TICKET });
    await approve(t, 'alex+mfa', body);
    const edited = await t.call(
      'dana',
      'PATCH',
      `/v1/requests/${body.id}`,
      { reason: 'better' },
      { 'If-Match': '*' },
    );
    expect(edited.status).toBe(200);
    expect(edited.body.digest).not.toBe(body.digest);
    expect(edited.body).toMatchObject({
      state: 'pending',
      approvals: [{ counts: false, digest: body.digest }],
    });
    expect((await approve(t, 'sam+mfa', edited.body)).body.state).toBe('pending');
  });

  it('is refused to everybody but the authors', async () => {
    const { body } = await propose(t, [enable]);
    for (const who of ['alex', 'sam', 'riley']) {
      const answer = await t.call(
        who,
        'PATCH',
        `/v1/requests/${body.id}`,
        { reason: 'mine' },
        { 'If-Match': '*' },
      );
      expect(answer.status).toBe(403);
    }
    expect((await readRequest(t, body.id)).digest).toBe(body.digest);
  });

  it('can bring a missing ticket', async () => {
    await createFlag(t, 'ledger', { tier: 'sensitive' });
    const { body } = await propose(t, [{ action: 'enable', flag: 'ledger' }]);
    const order = { ticket: TICKET, digest: body.digest };
    const edited = await t.call('dana', 'PATCH', `/v1/requests/${body.id}`, order);
    expect(edited.body.gates.map((gate: { code: string }) => gate.code)).toEqual(['approval_required']);
  });

  it('that would change nothing any more is an invalid change', async () => {
    const { body } = await propose(t, [enable]);
    const changes = [{ action: 'disable', flag: 'checkout' }];
    const answer = await t.call('dana', 'PATCH', `/v1/requests/${body.id}`, { changes }, { 'If-Match': '*' });
    expect({ status: answer.status, code: answer.body.code }).toEqual({
      status: 422,
      code: 'invalid_change',
    });
  });
});

describe('a request whose flags have moved', () => {
  async function moved(): Promise<Reply['body']> {
    const { body } = await propose(t, [enable]);
    const other = await propose(t, [
      { action: 'set_audience', flag: 'checkout', audience: { kind: 'none' } },
    ]);
    await approve(t, 'alex', other.body);
    return body;
  }

  it('conflicts when its last approval comes, applies nothing and says what to do', async () => {
    const request = await moved();
    const { status, body } = await approve(t, 'alex', request);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      state: 'conflicted',
      gates: [{ code: 'base_moved', call: { path: '/v1/requests' } }],
    });
    expect(await enabled()).toBe(false);
    const again = await t.call('dana', 'POST', '/v1/requests', body.gates[0].call.body);
    expect(again.status).toBe(201);
    expect((await approve(t, 'alex', again.body)).body.state).toBe('applied');
  });

  it('is rebased onto the present versions, and needs its approvals again', async () => {
    const request = await moved();
    const { body } = await post('dana', request, 'rebase', { digest: request.digest });
    expect(body.digest).not.toBe(request.digest);
    expect((await approve(t, 'alex', request)).body.code).toBe('digest_mismatch');
    expect((await approve(t, 'alex', body)).body.state).toBe('applied');
  });

  it('conflicts when somebody calls apply', async () => {
    const manual = await propose(t, [enable], { apply: 'manual' });
    expect((await approve(t, 'alex', manual.body)).body.state).toBe('ready');
    const other = await propose(t, [
      { action: 'set_audience', flag: 'checkout', audience: { kind: 'none' } },
    ]);
    await approve(t, 'alex', other.body);
    const { status, body } = await post('dana', manual.body, 'apply');
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'request_conflicted' });
    expect(body.gates[0].call).toMatchObject({ method: 'POST', path: '/v1/requests' });
    expect((await readRequest(t, manual.body.id)).state).toBe('conflicted');
  });
});

describe('apply', () => {
  it('before the approvals are there says what is missing', async () => {
    const { body } = await propose(t, [enable]);
    const answer = await post('dana', body, 'apply');
    expect(answer.status).toBe(403);
    expect(answer.body.gates).toMatchObject([{ code: 'approval_required', cleared_by: 'flag-approver' }]);
    expect(await enabled()).toBe(false);
  });

  it('of an applied request answers it again and applies nothing twice', async () => {
    const { body } = await propose(t, [enable]);
    await approve(t, 'alex', body);
    const answers = await Promise.all(Array.from({ length: 10 }, () => post('dana', body, 'apply')));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    expect((await readFlag(t, 'checkout')).states.production.version).toBe(2);
  });
});

describe('a scheduled request', () => {
  it('waits for its start and is then applied by the scheduler', async () => {
    const start_ms = WORKING_HOURS_MS + 2 * HOUR_MS;
    const { body } = await propose(t, [enable], { start_ms });
    const approved = await approve(t, 'alex', body);
    expect(approved.body).toMatchObject({
      state: 'ready',
      gates: [{ code: 'start_time', cleared_by: 'time' }],
    });
    t.clock.set(start_ms - 1);
    await t.broker.scheduler.tick();
    expect(await enabled()).toBe(false);
    t.clock.set(start_ms);
    await t.broker.scheduler.tick();
    await t.broker.scheduler.tick();
    expect(await enabled()).toBe(true);
    const { items } = (await t.call('avery', 'GET', `/v1/decisions?request=${body.id}`)).body;
    expect(items[0]).toMatchObject({
      operation: 'request.apply',
      principal: { id: 'workload:countersign:scheduler' },
      request: { from: 'ready', to: 'applied' },
    });
  });

  it('is applied once by a scheduler that starts again on the same file', async () => {
    const start_ms = WORKING_HOURS_MS + HOUR_MS;
    const { body } = await propose(t, [enable], { start_ms });
    await approve(t, 'alex', body);
    t.clock.set(start_ms);
    for (let start = 0; start < 3; start += 1) {
      await t.restart();
      await Promise.all([t.broker.scheduler.tick(), t.broker.scheduler.tick()]);
    }
    expect((await readFlag(t, 'checkout')).states.production.version).toBe(2);
  });

  it('gets a new start by its author, which is an edit', async () => {
    const { body } = await propose(t, [enable]);
    const at = new Date(WORKING_HOURS_MS + HOUR_MS).toISOString();
    const { status, body: later } = await post('dana', body, 'schedule', { at, digest: body.digest });
    expect(status).toBe(200);
    expect(later).toMatchObject({ start_ms: WORKING_HOURS_MS + HOUR_MS });
    expect(later.digest).not.toBe(body.digest);
    expect((await post('alex', body, 'schedule', { at }, { 'If-Match': '*' })).status).toBe(403);
  });

  it('waits for the next window, and not a minute longer', async () => {
    await createFlag(t, 'ledger', { tier: 'sensitive' });
    t.clock.set(Date.UTC(2026, 10, 20, 22));
    const { body } = await propose(t, [{ action: 'enable', flag: 'ledger' }], { ticket: TICKET });
    const next = await post('dana', body, 'schedule', { at: 'next_window' }, { 'If-Match': '*' });
    expect((await approve(t, 'alex', next.body)).body.state).toBe('ready');
    const opens = Date.UTC(2026, 10, 23, 8);
    t.clock.set(opens - 60_000);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, body.id)).state).toBe('ready');
    t.clock.set(opens);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, body.id)).state).toBe('applied');
  });
});

describe('a request that nobody ends', () => {
  it('expires when its time to live is over', async () => {
    const { body } = await propose(t, [enable]);
    t.clock.set(body.expires_ms - 1);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, body.id)).state).toBe('pending');
    t.clock.set(body.expires_ms);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, body.id)).state).toBe('expired');
    expect(body.expires_ms - body.created_ms).toBe(7 * DAY_MS);
  });

  it('is not brought back by an approval, an edit or a call to apply that comes too late', async () => {
    const { body } = await propose(t, [enable]);
    t.clock.set(body.expires_ms);
    expect((await approve(t, 'alex', body)).status).toBeGreaterThanOrEqual(400);
    expect((await post('dana', body, 'apply')).body.code).toBe('request_closed');
    expect(await readRequest(t, body.id)).toMatchObject({ state: 'expired' });
    expect(await enabled()).toBe(false);
  });
});

describe('a final state', () => {
  async function closedRequests(): Promise<Record<string, Reply['body']>> {
    const proposals = await Promise.all(
      ['applied', 'rejected', 'withdrawn', 'conflicted', 'expired'].map(() => propose(t, [enable])),
    );
    const [applied, rejected, withdrawn, conflicted, expired] = proposals.map((answer) => answer.body);
    await post('alex', rejected, 'reject', { digest: rejected.digest });
    await post('dana', withdrawn, 'withdraw');
    await approve(t, 'alex', applied);
    await approve(t, 'alex', conflicted);
    t.clock.set(expired.expires_ms);
    await t.broker.scheduler.tick();
    return { applied, rejected, withdrawn, conflicted, expired };
  }

  it('is left by no call, and says which one it is', async () => {
    for (const [state, request] of Object.entries(await closedRequests())) {
      expect((await readRequest(t, request.id)).state).toBe(state);
      const calls = [
        approve(t, 'sam', request),
        post('sam', request, 'reject', { digest: request.digest }),
        post('dana', request, 'withdraw'),
        t.call('dana', 'PATCH', `/v1/requests/${request.id}`, { reason: 'again' }, { 'If-Match': '*' }),
        post('dana', request, 'rebase', undefined, { 'If-Match': '*' }),
        post('dana', request, 'schedule', { at: 'next_window' }, { 'If-Match': '*' }),
      ];
      for (const { status, body } of await Promise.all(calls)) {
        expect({ status, code: body.code, state: body.state }).toEqual({
          status: 409,
          code: 'request_closed',
          state,
        });
      }
      await t.broker.scheduler.tick();
      expect((await readRequest(t, request.id)).state).toBe(state);
    }
    expect((await readFlag(t, 'checkout')).states.production.version).toBe(2);
  });
});

describe('withdrawal', () => {
  it('is for authors only', async () => {
    const { body } = await propose(t, [enable]);
    expect((await post('alex', body, 'withdraw')).body).toMatchObject({
      code: 'policy_denied',
      reasons: [{ code: 'not_author' }],
    });
    expect((await post('dana', body, 'withdraw')).body.state).toBe('withdrawn');
  });
});

describe('a request that is not there', () => {
  it.each(['00000000-0000-4000-8000-000000000000', 'x', '%00', '..%2f..', '1 or 1=1'])(
    'is not found: %s',
    async (id) => {
      expect((await t.call('dana', 'GET', `/v1/requests/${id}`)).body.code).toBe('not_found');
      expect((await t.call('dana', 'POST', `/v1/requests/${id}/withdraw`)).body.code).toBe('not_found');
    },
  );
});
