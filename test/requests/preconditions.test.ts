import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag, proposal, propose, readFlag } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterAll(() => t.close());

const enable = [{ action: 'enable', flag: 'checkout' }];

/** Edits a request on the condition of a header, or of a digest in the body. */
function patch(
  id: string,
  { ifMatch, digest }: { ifMatch?: string | null; digest?: string },
): Promise<Reply> {
  const headers: Record<string, string> = typeof ifMatch === 'string' ? { 'If-Match': ifMatch } : {};
  const body = { reason: `at ${ifMatch ?? digest}`, ...(digest === undefined ? {} : { digest }) };
  return t.call('dana', 'PATCH', `/v1/requests/${id}`, body, headers);
}

describe('what the caller has read', () => {
  it('is required where two writers can meet', async () => {
    const { body } = await propose(t, enable);
    expect((await patch(body.id, {})).body).toMatchObject({ status: 428, code: 'precondition_required' });
    for (const verb of ['rebase', 'schedule']) {
      const order = verb === 'rebase' ? {} : { at: 'next_window' };
      const answer = await t.call('dana', 'POST', `/v1/requests/${body.id}/${verb}`, order);
      expect(answer.status).toBe(428);
    }
  });

  it('may be a digest in the body, which no proxy alters', async () => {
    const { body } = await propose(t, enable);
    const edited = await patch(body.id, { digest: body.digest });
    expect(edited.status).toBe(200);
    const path = `/v1/requests/${body.id}`;
    const late = { digest: body.digest };
    for (const answer of [
      await patch(body.id, late),
      await t.call('dana', 'POST', `${path}/rebase`, late),
      await t.call('dana', 'POST', `${path}/schedule`, { at: 'next_window', ...late }),
    ]) {
      expect(answer.body).toMatchObject({ status: 409, code: 'digest_mismatch', digest: edited.body.digest });
    }
    const now = { digest: edited.body.digest };
    expect((await t.call('dana', 'POST', `${path}/rebase`, now)).status).toBe(200);
    expect((await t.call('dana', 'POST', `${path}/schedule`, { at: 'next_window', ...now })).status).toBe(
      200,
    );
  });

  it.each(['apply', 'withdraw'])(
    'may be sent by whoever calls %s, so that an edit comes to light',
    async (verb) => {
      const flag = await createFlag(t, `read-${verb}`, { tier: 'informational' });
      const { body } = await propose(t, [{ action: 'enable', flag }], { apply: 'manual' });
      const path = `/v1/requests/${body.id}`;
      const edited = await patch(body.id, { digest: body.digest });
      const late = await t.call('dana', 'POST', `${path}/${verb}`, { digest: body.digest });
      expect(late.body).toMatchObject({ status: 409, code: 'digest_mismatch', digest: edited.body.digest });
      expect((await t.call('dana', 'GET', path)).body).toEqual(edited.body);
      const before = await countRows(t);
      const odd = await t.call('dana', 'POST', `${path}/${verb}`, { digest: 'x' });
      expect(odd.body.code).toBe('invalid_request');
      expect(await countRows(t)).toEqual(before);
      const done = await t.call('dana', 'POST', `${path}/${verb}`, { digest: edited.body.digest });
      expect(done.body.state).toBe(verb === 'apply' ? 'applied' : 'withdrawn');
      if (verb !== 'apply') return;
      // What was applied already is answered as it is, unless it is something else.
      for (const [digest, status] of [
        [edited.body.digest, 200],
        [body.digest, 409],
      ])
        expect((await t.call('dana', 'POST', `${path}/apply`, { digest })).status).toBe(status);
    },
  );

  it('must be right in both places if it is in both', async () => {
    const { body } = await propose(t, enable);
    const wrong = `sha256:${'0'.repeat(64)}`;
    expect((await patch(body.id, { digest: wrong, ifMatch: '*' })).status).toBe(409);
    expect((await patch(body.id, { digest: body.digest, ifMatch: '"1"' })).status).toBe(412);
  });
});

describe('If-Match', () => {
  it.each(['"2"', '"01"', '1', '""', '"one"'])(
    'that names %s is answered with the present ETag',
    async (tag) => {
      const { body, headers } = await propose(t, enable);
      const answer = await patch(body.id, { ifMatch: tag });
      expect({ code: answer.body.code, status: answer.status, etag: answer.headers.get('etag') }).toEqual({
        status: 412,
        code: 'precondition_failed',
        etag: headers.get('etag'),
      });
    },
  );

  it('never matches the weak tag of a compressing proxy, and says what to send (RFC 9110 13.1.1)', async () => {
    const { body, headers } = await propose(t, enable);
    const weak = await patch(body.id, { ifMatch: `W/${headers.get('etag')}` });
    expect(weak.body).toMatchObject({ status: 412, code: 'weak_validator' });
    expect(weak.body.detail).toMatch(/`digest`.*in the body/);
    const both = await patch(body.id, { ifMatch: `W/"a", ${headers.get('etag')}` });
    expect(both.status).toBe(200);
  });

  it('lets exactly one of many simultaneous writers win', async () => {
    const { body, headers } = await propose(t, enable);
    const ifMatch = headers.get('etag');
    const answers = await Promise.all(Array.from({ length: 30 }, () => patch(body.id, { ifMatch })));
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 412)).toHaveLength(29);
  });

  it('is the ETag of every answer about the request', async () => {
    const { body, headers } = await propose(t, enable);
    const edited = await patch(body.id, { ifMatch: headers.get('etag') });
    expect(edited.headers.get('etag')).toMatch(/^"[\w-]{43}"$/);
    expect(edited.headers.get('etag')).not.toBe(headers.get('etag'));
    const read = () => t.call('dana', 'GET', `/v1/requests/${body.id}`);
    expect((await read()).headers.get('etag')).toBe(edited.headers.get('etag'));
    const order = { digest: edited.body.digest };
    const rejected = await t.call('alex', 'POST', `/v1/requests/${body.id}/reject`, order);
    expect((await read()).headers.get('etag')).toBe(rejected.headers.get('etag'));
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
    expect((await send('second-try', refused)).status).toBe(404);
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
