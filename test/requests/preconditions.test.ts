import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag, proposal, propose, readFlag } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterAll(() => t.close());

const enable = [{ action: 'enable', flag: 'checkout' }];

describe('If-Match', () => {
  async function patch(id: string, ifMatch?: string) {
    const headers = ifMatch === undefined ? {} : { 'If-Match': ifMatch };
    return t.call(
      'dana',
      'PATCH',
      `/v1/requests/${id}`,
      { reason: `at ${ifMatch}` },
      headers as Record<string, string>,
    );
  }

  it('is required where two writers can meet', async () => {
    const { body } = await propose(t, enable);
    expect((await patch(body.id)).body).toMatchObject({ status: 428, code: 'precondition_required' });
    for (const verb of ['rebase', 'schedule']) {
      const answer = await t.call(
        'dana',
        'POST',
        `/v1/requests/${body.id}/${verb}`,
        verb === 'rebase' ? {} : { at: 'next_window' },
      );
      expect(answer.status).toBe(428);
    }
  });

  it.each(['"2"', '"01"', 'W/"1"', '1', '""', '"one"'])(
    'that names %s is answered with the present ETag',
    async (tag) => {
      const { body } = await propose(t, enable);
      const { status, body: problem, headers } = await patch(body.id, tag);
      expect({ status, code: problem.code, etag: headers.get('etag') }).toEqual({
        status: 412,
        code: 'precondition_failed',
        etag: '"1"',
      });
    },
  );

  it('lets exactly one of many simultaneous writers win', async () => {
    const { body } = await propose(t, enable);
    const answers = await Promise.all(Array.from({ length: 30 }, () => patch(body.id, '"1"')));
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 412)).toHaveLength(29);
  });

  it('is the ETag of every answer about the request', async () => {
    const { body, headers } = await propose(t, enable);
    expect(headers.get('etag')).toBe('"1"');
    const edited = await patch(body.id, '"1"');
    expect(edited.headers.get('etag')).toBe('"2"');
    expect((await t.call('dana', 'GET', `/v1/requests/${body.id}`)).headers.get('etag')).toBe('"2"');
  });
});

describe('Idempotency-Key', () => {
  const send = (key: string, body: unknown = proposal(enable), who = 'dana') =>
    t.call(who, 'POST', '/v1/requests', body, { 'Idempotency-Key': key });

  it('gives a retry the first answer, and no second request', async () => {
    const first = await send('retry-1');
    const before = await countRows(t);
    const second = await send('"retry-1"');
    expect(second.body).toEqual(first.body);
    expect(second.status).toBe(201);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(await countRows(t)).toEqual(before);
  });

  it('makes one request of fifty simultaneous retries', async () => {
    const before = await countRows(t);
    const body = proposal([{ action: 'enable', flag: 'plain' }]);
    const answers = await Promise.all(Array.from({ length: 50 }, () => send('storm', body)));
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    expect((await countRows(t)).requests).toBe((before.requests ?? 0) + 1);
    expect((await readFlag(t, 'plain')).states.production.version).toBe(2);
  });

  it('is refused for another body', async () => {
    await send('reused');
    const { status, body } = await send('reused', proposal(enable, { reason: 'another' }));
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'idempotency_key_reused' });
  });

  it('is refused for another path', async () => {
    await t.call(
      'riley',
      'POST',
      '/v1/freezes',
      { scope: 'flag', flag: 'unused', yet_unknown: true, incident: 'I-1', reason: 'x' },
      { 'Idempotency-Key': 'path' },
    );
    const answer = await t.call('riley', 'POST', '/v1/requests', proposal(enable), {
      'Idempotency-Key': 'path',
    });
    expect(answer.body.code).toBe('idempotency_key_reused');
  });

  it('belongs to its principal: another one with the same key makes their own request', async () => {
    const dana = await send('shared');
    const job = await send('shared', proposal(enable), await t.workloadToken());
    expect(job.status).toBe(201);
    expect(job.body.id).not.toBe(dana.body.id);
  });

  it('of a refused call is free again once the reason is gone', async () => {
    const refused = proposal([{ action: 'enable', flag: 'later' }]);
    expect((await send('second-try', refused)).status).toBe(422);
    await createFlag(t, 'later');
    expect((await send('second-try', refused)).status).toBe(201);
  });

  it('is kept over a restart', async () => {
    const first = await send('durable');
    await t.restart();
    expect((await send('durable')).body.id).toBe(first.body.id);
  });

  it.each(['', '""', 'a b', 'x'.repeat(201), 'ü'])('that reads %j is refused', async (key) => {
    expect((await send(key)).body.code).toBe('invalid_request');
  });
});
