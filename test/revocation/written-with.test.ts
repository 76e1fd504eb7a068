import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, TICKET } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { passTime } from '../support/pass-time.ts';
import { claimsOf, liftWithTwo, revoke } from './support.ts';

/*
 * What was written with a credential that is revoked waits until its author, signed in anew, confirms it. Whoever had the
 * credential may have written it.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterEach(async () => {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
});

const HOUR_MS = 3_600_000;
const read = async (id: string) => (await t.call('alex', 'GET', `/v1/requests/${id}`)).body;
const rebase = (who: string, request: Reply['body']) =>
  t.call(who, 'POST', `/v1/requests/${request.id}/rebase`, { digest: request.digest });

/** A request that starts in an hour, written with a token that is then revoked in one of the ways. */
async function scheduledWith(token: string): Promise<Reply['body']> {
  const fields = { start_ms: t.clock() + HOUR_MS };
  const { body } = await propose(t, [{ action: 'enable', flag: 'plain' }], fields, token);
  expect(body.state, JSON.stringify(body)).toBe('ready');
  t.clock.advance(1000);
  return body;
}

async function startCame(request: Reply['body']): Promise<void> {
  t.clock.set(Math.max(request.start_ms, t.clock() + 60_000));
  await t.broker.scheduler.tick();
}

describe('a scheduled request of a revoked credential', () => {
  it.each<[string, (token: string) => [string, string, Record<string, unknown>?]]>([
    ['token', (token) => ['token', `${t.people.issuer}#jti:${claimsOf(token).jti}`]],
    ['session at the provider', () => ['session', `${t.people.issuer}#sid-1`]],
    [
      'subject, before a moment',
      () => ['subject', 'emp-1001', { issued_before: new Date(t.clock()).toISOString() }],
    ],
    [
      'account, before a moment',
      () => ['subject', 'person:demo:dana', { issued_before: new Date(t.clock()).toISOString() }],
    ],
    [
      'issuer, before a moment',
      () => ['issuer', t.people.issuer, { issued_before: new Date(t.clock()).toISOString() }],
    ],
    ['class', () => ['class', 'person']],
    ['everything', () => ['class', 'all']],
  ])('waits until its author, signed in anew, confirms it: by %s', async (_, revocationOf) => {
    const stolen = await t.people.idToken('dana', { claims: { sid: 'sid-1' } });
    const request = await scheduledWith(stolen);
    const [kind, value, fields = {}] = revocationOf(stolen);
    const revoked = await revoke(t, kind, value, fields);
    expect(revoked.status, JSON.stringify(revoked.body)).toBe(201);
    expect(revoked.body.hits.requests).toMatchObject([{ id: request.id }]);
    await startCame(request);
    expect(await read(request.id)).toMatchObject({ state: 'ready', gates: [{ code: 'parked' }] });
    // Signing in anew does not vouch for what a thief wrote.
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(200);
    await startCame(request);
    expect((await read(request.id)).state).toBe('ready');
    expect((await rebase('dana', request)).body.state).toBe('applied');
  });

  it('waits also when the revocation of its token has expired', async () => {
    const stolen = await t.people.idToken('dana');
    const fields = { start_ms: t.clock() + 100 * HOUR_MS };
    const { body } = await propose(t, [{ action: 'enable', flag: 'plain' }], fields, stolen);
    const token = `${t.people.issuer}#jti:${claimsOf(stolen).jti}`;
    const revoked = await revoke(t, 'token', token);
    await passTime(t, 99 * HOUR_MS);
    expect(t.clock()).toBeGreaterThan(revoked.body.expires_ms + 48 * HOUR_MS);
    await startCame(body);
    expect(await read(body.id)).toMatchObject({ state: 'ready', gates: [{ code: 'parked' }] });
  });

  it.each<[string, (token: string) => [string, string]]>([
    ['its token', (token) => ['token', `${t.url}#jti:${claimsOf(token).jti}`]],
    ['all jobs', () => ['class', 'workload']],
  ])('of a job waits until its human confirms it: by %s', async (_, revocationOf) => {
    const token = await t.workloadToken();
    const request = await scheduledWith(token);
    const [kind, value] = revocationOf(token);
    await revoke(t, kind, value);
    await startCame(request);
    expect(await read(request.id)).toMatchObject({ gates: [{ code: 'parked' }] });
    expect((await rebase('dana', request)).body.state).toBe('applied');
  });

  it('is not confirmed by another job of the human who wrote it', async () => {
    const stolen = await t.people.idToken('dana');
    const request = await scheduledWith(stolen);
    await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(stolen).jti}`);
    await startCame(request);
    expect((await rebase(await t.workloadToken(), request)).status).toBe(200);
    expect(await read(request.id)).toMatchObject({ state: 'pending', gates: [{ code: 'parked' }] });
  });

  it('goes on when the revocation is lifted, and when it is another credential that is revoked', async () => {
    const [stolen, other] = [await t.people.idToken('dana'), await t.people.idToken('dana')];
    const request = await scheduledWith(stolen);
    await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(other).jti}`);
    const { body } = await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(stolen).jti}`);
    await startCame(request);
    expect(await read(request.id)).toMatchObject({ gates: [{ code: 'parked' }] });
    await liftWithTwo(t, body.id);
    await startCame(request);
    expect((await read(request.id)).state).toBe('applied');
  });
});

it('what waits for approvals waits, too', async () => {
  await createFlag(t, 'checkout');
  const stolen = await t.people.idToken('dana');
  const { body } = await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: TICKET }, stolen);
  await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(stolen).jti}`);
  expect((await approve(t, 'alex', body)).body).toMatchObject({
    state: 'pending',
    gates: [{ code: 'parked' }],
  });
  expect((await rebase('dana', body)).body.state).toBe('applied');
});
