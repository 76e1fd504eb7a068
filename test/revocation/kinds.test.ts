import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { readRecords } from '../support/sqlite/rows.ts';
import {
  claimsOf,
  headerOf,
  INCIDENT,
  introspect,
  liftWithTwo,
  readFlags,
  revoke,
  status,
} from './support.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
});

afterEach(async () => {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
});

/** What a job of `acme/payments` holds: a token of the broker's. */
type Named = (token: string) => string;

describe('what a workload holds', () => {
  it.each<[string, Named, Record<string, unknown>]>([
    ['token', (token) => `${t.url}#jti:${claimsOf(token).jti}`, {}],
    ['subject', (token) => claimsOf(token).sub ?? '', {}],
    ['trust_rule', () => 'payments-deploy', {}],
    ['issuer', () => t.ci.issuer, {}],
    ['issuer', () => t.url, {}],
    ['class', () => 'workload', {}],
    ['class', () => 'all', {}],
    ['key', (token) => headerOf(token).kid ?? '', {}],
  ])('is refused on the next request, by its %s', async (kind, named, fields) => {
    const token = await t.workloadToken();
    t.clock.advance(1000);
    expect(await status(t, token)).toBe(200);
    expect((await introspect(t, token)).body.active).toBe(true);
    const answer = await revoke(t, kind, named(token), fields);
    expect(answer.body).toMatchObject({ kind, cause: 'incident', lifted_ms: null });
    expect(answer.status).toBe(201);
    expect(await status(t, token)).toBe(401);
    const write = await t.call(token, 'POST', '/v1/requests', { environment: 'staging', changes: [] });
    expect(write.body.code).toBe('token_invalid');
    expect((await introspect(t, token)).body).toEqual({ active: false });
  });

  it('is not affected by other revocations', async () => {
    const [revoked, other] = [await t.workloadToken(), await t.workloadToken()];
    await revoke(t, 'token', `${t.url}#jti:${claimsOf(revoked).jti}`);
    await revoke(t, 'trust_rule', 'checkout-service');
    await revoke(t, 'class', 'agent');
    await revoke(t, 'subject', 'emp-1002');
    expect(await status(t, revoked)).toBe(401);
    expect(await status(t, other)).toBe(200);
    expect((await exchange(t.url, await t.ci.token())).status).toBe(200);
  });

  it.each<[string, () => string, boolean]>([
    ['subject', () => 'emp-1001', false],
    ['trust_rule', () => 'payments-deploy', false],
    ['issuer', () => t.ci.issuer, false],
    ['class', () => 'workload', true],
  ])('is not issued again while its %s is revoked for good', async (kind, value, afterwards) => {
    await revoke(t, kind, value());
    t.clock.advance(1000);
    const { status: answered, body } = await exchange(t.url, await t.ci.token());
    expect({ answered, error: body.error }).toEqual(
      afterwards ? { answered: 200, error: undefined } : { answered: 400, error: 'invalid_request' },
    );
  });

  it('is not exchanged, when the token of its platform is revoked', async () => {
    const subject = await t.ci.token();
    await revoke(t, 'token', `${t.ci.issuer}#jti:${claimsOf(subject).jti}`);
    expect((await exchange(t.url, subject)).body.error).toBe('invalid_request');
    expect((await exchange(t.url, await t.ci.token())).status).toBe(200);
  });

  it('goes with the token of its platform, which somebody may have exchanged first', async () => {
    await createFlag(t, 'checkout');
    const subjects = { control: await t.ci.token(), 'data:production': await t.ci.checkoutToken() };
    const [control, data] = await Promise.all(
      Object.entries(subjects).map(
        async ([audience, subject]) => (await exchange(t.url, subject, { audience })).body.access_token,
      ),
    );
    const other = await t.workloadToken();
    expect([await status(t, control), (await readFlags(t, data)).status]).toEqual([200, 200]);
    for (const subject of Object.values(subjects)) {
      const { body } = await revoke(t, 'token', `${t.ci.issuer}#jti:${claimsOf(subject).jti}`);
      expect(body.hits.tokens).toHaveLength(1);
    }
    expect([await status(t, control), (await readFlags(t, data)).status]).toEqual([401, 401]);
    expect((await introspect(t, control)).body).toEqual({ active: false });
    expect(await status(t, other)).toBe(200);
  });

  it('goes with a token of its platform that was issued before the moment, however late it was exchanged', async () => {
    const subject = await t.ci.token();
    t.clock.advance(1000);
    const issued_before = t.clock();
    t.clock.advance(9000);
    const { access_token } = (await exchange(t.url, subject)).body;
    expect(await status(t, access_token)).toBe(200);
    await revoke(t, 'class', 'workload', { issued_before });
    expect(await status(t, access_token)).toBe(401);
    expect(await status(t, await t.workloadToken())).toBe(200);
  });
});

describe('what an application reads flags with', () => {
  it.each<[string, Named]>([
    ['token', (token) => `${t.url}#jti:${claimsOf(token).jti}`],
    ['subject', (token) => claimsOf(token).sub ?? ''],
    ['trust_rule', () => 'checkout-service'],
    ['issuer', () => t.ci.issuer],
    ['class', () => 'workload'],
    ['key', (token) => headerOf(token).kid ?? ''],
  ])('is refused on the next read, by its %s', async (kind, named) => {
    await createFlag(t, 'checkout');
    const token = await t.workloadToken('checkout', { audience: 'data:production' });
    t.clock.advance(1000);
    expect((await readFlags(t, token)).status).toBe(200);
    expect((await revoke(t, kind, named(token))).status).toBe(201);
    expect((await readFlags(t, token)).status).toBe(401);
  });
});

describe('what a person holds', () => {
  it.each<[string, Named, number]>([
    ['token', (token) => `${t.people.issuer}#jti:${claimsOf(token).jti}`, 200],
    ['subject', () => 'person:demo:dana', 401],
    ['subject', () => 'emp-1001', 401],
    ['subject', () => 'EMP-1001', 401],
    ['session', () => `${t.people.issuer}#sid-1`, 401],
    ['class', () => 'person', 200],
    ['class', () => 'all', 200],
  ])('is refused by its %s; a later sign-in counts as it should', async (kind, named, later) => {
    const token = await t.people.idToken('dana', { claims: { sid: 'sid-1' } });
    t.clock.advance(1000);
    expect(await status(t, token)).toBe(200);
    expect((await revoke(t, kind, named(token))).status).toBe(201);
    expect(await status(t, token)).toBe(401);
    expect(await status(t, await t.people.idToken('dana', { claims: { sid: 'sid-1' } }))).toBe(later);
  });

  it('is refused for every account and spelling of the human', async () => {
    await revoke(t, 'subject', 'Emp-1001');
    for (const who of ['dana', 'dana-alt']) expect((await t.call(who, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await t.call('alex', 'GET', '/v1/whoami')).status).toBe(200);
  });

  it('of one account leaves the other account of the human', async () => {
    await revoke(t, 'subject', 'person:demo:dana');
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(401);
    expect((await t.call('dana-alt', 'GET', '/v1/whoami')).status).toBe(200);
  });

  it('that was issued before a moment, and nothing that came after it', async () => {
    const before = await t.people.idToken('dana');
    t.clock.advance(60_000);
    const moment = t.clock();
    const after = await t.people.idToken('dana');
    await revoke(t, 'subject', 'emp-1001', { issued_before: new Date(moment).toISOString() });
    expect(await status(t, before)).toBe(401);
    expect(await status(t, after)).toBe(200);
  });
});

describe('a revocation', () => {
  it('of all workload tokens leaves persons, and the next token of a job', async () => {
    const token = await t.workloadToken();
    t.clock.advance(1000);
    await revoke(t, 'class', 'workload');
    expect(await status(t, token)).toBe(401);
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(200);
    expect(await status(t, await t.workloadToken())).toBe(200);
  });

  it('of the active key has the broker sign with another one, and publishes it no more', async () => {
    const token = await t.workloadToken();
    const kid = headerOf(token).kid ?? '';
    await revoke(t, 'key', kid);
    const kids = async () =>
      ((await t.call(null, 'GET', '/.well-known/jwks.json')).body.keys as { kid: string }[]).map(
        (key) => key.kid,
      );
    expect(await kids()).not.toContain(kid);
    const next = await t.workloadToken();
    expect(await kids()).toEqual([headerOf(next).kid]);
    expect(await status(t, next)).toBe(200);
    expect(await status(t, token)).toBe(401);
  });

  it('survives a restart', async () => {
    const token = await t.people.idToken('dana');
    await revoke(t, 'subject', 'emp-1001');
    await t.restart();
    expect(await status(t, token)).toBe(401);
  });

  it('ends when two persons lift it, and not when one does', async () => {
    const { body } = await revoke(t, 'subject', 'emp-1001');
    const proposed = await t.call('riley', 'POST', '/v1/requests', {
      kind: 'revocation.lift',
      revocation: body.id,
      reason: 'x',
    });
    expect(proposed.body).toMatchObject({ state: 'pending', object: { id: body.id, value: 'emp-1001' } });
    const word = { digest: proposed.body.digest };
    for (const who of ['riley', 'avery', 'casey']) {
      expect((await t.call(who, 'POST', `/v1/requests/${proposed.body.id}/approve`, word)).status).toBe(403);
    }
    // Confined to a namespace, alex sees no request about everything.
    expect((await t.call('alex', 'POST', `/v1/requests/${proposed.body.id}/approve`, word)).status).toBe(404);
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(401);
    const approved = await t.call('sam', 'POST', `/v1/requests/${proposed.body.id}/approve`, word);
    expect(approved.body.state).toBe('applied');
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(200);
    expect((await t.call('riley', 'GET', `/v1/revocations/${body.id}`)).body).toMatchObject({
      lifted_ms: t.clock(),
      lifted_by: { request: proposed.body.id },
    });
    const again = await t.call('riley', 'POST', '/v1/requests', {
      kind: 'revocation.lift',
      revocation: body.id,
      reason: 'x',
    });
    expect(again.body.code).toBe('invalid_change');
  });

  it('is lifted once: of two requests the second is a conflict', async () => {
    const { body } = await revoke(t, 'subject', 'emp-1001');
    const { body: other } = await t.call('riley', 'POST', '/v1/requests', {
      kind: 'revocation.lift',
      revocation: body.id,
      reason: 'another',
    });
    expect((await liftWithTwo(t, body.id)).body.state).toBe('applied');
    const late = await t.call('sam', 'POST', `/v1/requests/${other.id}/approve`, { digest: other.digest });
    expect(late.body.state).toBe('conflicted');
  });

  it('is made by those who may, and by no workload; others learn nothing of what there is', async () => {
    const job = await t.workloadToken();
    for (const who of ['dana', 'alex', 'avery', 'casey', 'morgan', job]) {
      for (const value of ['payments-deploy', 'payments-deplox']) {
        const { status: answered, body } = await revoke(t, 'trust_rule', value, {}, who);
        expect({ answered, code: body.code }).toEqual({ answered: 403, code: 'policy_denied' });
      }
    }
    expect((await t.call('avery', 'GET', '/v1/revocations')).body.items).toEqual([]);
    expect((await t.call('dana', 'GET', '/v1/revocations')).status).toBe(403);
  });

  it.each([
    [
      'trust_rule',
      'payments-deplox',
      'not_found',
      /There is no trust rule .* Did you mean payments-deploy\?/,
    ],
    ['issuer', 'http://127.0.0.1:1', 'not_found', /There is no issuer/],
    ['class', 'workloads', 'not_found', /There is no class .* Did you mean workload\?/],
    ['key', 'nothing', 'not_found', /There is no signing key/],
    ['session', 'session:nothing', 'not_found', /There is no session .*session:<id>/],
    ['session', '#', 'not_found', /session:<id>/],
    ['session', 'http://127.0.0.1:1/#sid', 'not_found', /There is no issuer/],
    ['token', 'no-issuer', 'invalid_request', /<issuer>#jti/],
    ['token', 'http://127.0.0.1:1/#jti:1', 'not_found', /There is no issuer/],
    ['subject', 'dana\u200b', 'invalid_request', /characters/],
  ])('of a %s that nobody knows, %j, is refused with what was meant', async (kind, value, code, detail) => {
    const { body } = await revoke(t, kind, value);
    expect(body.code).toBe(code);
    expect(`${body.detail} ${JSON.stringify(body.errors)}`).toMatch(detail);
    expect((await t.call('riley', 'GET', '/v1/revocations')).body.items).toEqual([]);
  });

  it('never keeps a token that was sent in place of its id', async () => {
    const token = await t.workloadToken();
    for (const value of [token, `${t.url}#jti:${token}`]) {
      const { status: answered, body } = await revoke(t, 'token', value);
      expect(answered).toBe(400);
      expect(JSON.stringify(body)).not.toContain(token);
    }
    expect(readRecords(t.file).some(({ input }) => input?.includes(token))).toBe(false);
  });

  it('needs an incident and a reason, and a moment that has come', async () => {
    const send = (body: object): Promise<Reply> => t.call('riley', 'POST', '/v1/revocations', body);
    for (const body of [
      { kind: 'subject', value: 'x', reason: 'y' },
      { kind: 'subject', value: 'x', incident: 'y' },
      { kind: 'subject', value: '', ...INCIDENT },
      { kind: 'everything', value: 'x', ...INCIDENT },
      { kind: 'class', value: 'all', ...INCIDENT, issued_before: t.clock() + 1 },
      { kind: 'class', value: 'all', ...INCIDENT, extra: 1 },
      { kind: 'subject', value: 'emp-1', incident: ' ', reason: 'y' },
      { kind: 'subject', value: 'emp-1', incident: 'x', reason: '\u200d\ufe0f' },
    ]) {
      expect((await send(body)).body.code).toBe('invalid_request');
    }
  });

  it('that would lock its author out is refused, and one that affects its author says so', async () => {
    const locked = await revoke(t, 'issuer', t.people.issuer);
    expect(locked.body).toMatchObject({
      code: 'invalid_request',
      detail: expect.stringMatching(/never lift/),
    });
    const own = await revoke(t, 'subject', 'emp-1005');
    expect(own.body.cautions).toEqual([
      { code: 'hits_you', detail: expect.stringMatching(/two other persons/) },
    ]);
    expect((await t.call('riley', 'GET', '/v1/whoami')).status).toBe(401);
    expect((await t.call('sam', 'GET', `/v1/revocations/${own.body.id}`)).status).toBe(200);
  });

  it('is recorded with what was revoked, whether it was allowed or not', async () => {
    await revoke(t, 'subject', 'EMP-1001');
    await revoke(t, 'subject', 'emp-1002', {}, 'dana-alt');
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=revocation.add')).body;
    expect(items).toMatchObject([
      { outcome: { effect: 'allow', note: { code: 'revocation', detail: 'subject emp-1001' } } },
    ]);
    const { body } = await t.call('avery', 'GET', `/v1/decisions/${items[0].id}`);
    expect(body.input.revocation).toEqual({
      kind: 'subject',
      value: 'emp-1001',
      issued_before_ms: null,
      ...INCIDENT,
    });
  });

  it('sent twice with one key is made once', async () => {
    const send = () =>
      t.call(
        'riley',
        'POST',
        '/v1/revocations',
        { kind: 'subject', value: 'emp-1001', ...INCIDENT },
        {
          'Idempotency-Key': 'one',
        },
      );
    const [first, second] = [await send(), await send()];
    expect(second.body.id).toBe(first.body.id);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect((await t.call('riley', 'GET', '/v1/revocations')).body.items).toHaveLength(1);
  });

  it('is listed page by page, with the lifted ones when they are asked for', async () => {
    const ids: string[] = [];
    for (const value of ['emp-1', 'emp-2', 'emp-3']) {
      t.clock.advance(1);
      ids.unshift((await revoke(t, 'subject', value)).body.id);
    }
    await liftWithTwo(t, ids[0] ?? '');
    const list = async (query: string) => (await t.call('avery', 'GET', `/v1/revocations?${query}`)).body;
    expect((await list('')).items.map(({ id }: { id: string }) => id)).toEqual(ids.slice(1));
    const page = await list('state=all&limit=2');
    expect(page.items.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
    const rest = await list(`state=all&limit=2&cursor=${page.next_cursor}`);
    expect(rest.items.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2));
    expect((await list('kind=token')).items).toEqual([]);
  });
});
