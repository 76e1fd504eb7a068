import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, propose, readRequest, TICKET } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { passTime } from '../support/pass-time.ts';
import { claimsOf, lift, liftWithTwo, logOut, revoke } from './support.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterEach(async () => {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
});

const enable = (flag: string) => [{ action: 'enable', flag }];

/** A request by dana that one approval would apply. */
async function pending(fields: Record<string, unknown> = {}): Promise<Reply['body']> {
  const { body } = await propose(t, enable('checkout'), { ticket: TICKET, ...fields });
  expect(body.state).toBe('pending');
  return body;
}

/** A request by dana that starts in an hour, with everything granted. */
async function scheduled(): Promise<Reply['body']> {
  const { body } = await propose(t, enable('plain'), { start_ms: t.clock() + 3_600_000 });
  expect(body.state).toBe('ready');
  return body;
}

const enabled = async (flag: string) =>
  (await t.call('casey', 'GET', `/v1/flags/${flag}`)).body.states.production.enabled;
const read = async (id: string) => (await t.call('alex', 'GET', `/v1/requests/${id}`)).body;

describe('what somebody wrote who is revoked', () => {
  it('stays in its state, is not applied by anybody, and says why', async () => {
    const request = await pending();
    await revoke(t, 'subject', 'emp-1001');
    await t.broker.scheduler.tick();
    expect(await read(request.id)).toMatchObject({
      state: 'pending',
      standing: { effect: 'deny', reasons: [{ code: 'parked' }] },
      gates: [{ code: 'parked', cleared_by: expect.stringMatching(/\S/) }],
    });
    const approved = await approve(t, 'alex', request);
    expect(approved.body).toMatchObject({ state: 'pending', gates: [{ code: 'parked' }] });
    const applied = await t.call('alex', 'POST', `/v1/requests/${request.id}/apply`);
    expect(applied.body).toMatchObject({ code: 'policy_denied', reasons: [{ code: 'parked' }] });
    expect(await enabled('checkout')).toBe(false);
  });

  it('goes on once the revocation is lifted, and not before', async () => {
    const request = await pending();
    const { body } = await revoke(t, 'subject', 'emp-1001');
    await approve(t, 'alex', request);
    for (let minute = 0; minute < 5; minute += 1) {
      t.clock.advance(60_000);
      await t.broker.scheduler.tick();
      expect((await read(request.id)).state).toBe('pending');
    }
    const { body: proposed } = await lift(t, body.id);
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('pending');
    await approve(t, 'sam', proposed);
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('applied');
    expect(await enabled('checkout')).toBe(true);
  });

  it('does not start when its time comes', async () => {
    const request = await scheduled();
    const { body } = await revoke(t, 'subject', 'person:demo:dana');
    t.clock.set(request.start_ms);
    await t.broker.scheduler.tick();
    expect(await read(request.id)).toMatchObject({ state: 'ready', gates: [{ code: 'parked' }] });
    await liftWithTwo(t, body.id);
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('applied');
  });

  it('expires while it waits', async () => {
    const request = await pending();
    await revoke(t, 'subject', 'emp-1001');
    await t.broker.scheduler.tick();
    t.clock.set(request.expires_ms);
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('expired');
  });

  it('waits also where it was another account of the same human that is revoked', async () => {
    const request = await pending();
    // Who is behind an account is known from what was recorded of it.
    expect((await approve(t, 'dana-alt', request)).status).toBe(403);
    await revoke(t, 'subject', 'person:demo:dana-alt');
    expect((await approve(t, 'alex', request)).body.gates).toMatchObject([{ code: 'parked' }]);
  });

  it('waits where a job wrote it, by its rule, its issuer or the human who started it', async () => {
    const token = await t.workloadToken();
    for (const [kind, value] of [
      ['trust_rule', 'payments-deploy'],
      ['issuer', t.ci.issuer],
      ['subject', 'emp-1001'],
      ['subject', claimsOf(token).sub ?? ''],
    ] as const) {
      const job = await t.workloadToken();
      const { body: request } = await propose(t, enable('checkout'), { ticket: TICKET }, job);
      expect(request.state).toBe('pending');
      const { body } = await revoke(t, kind, value);
      expect((await approve(t, 'alex', request)).body.gates).toMatchObject([{ code: 'parked' }]);
      await liftWithTwo(t, body.id);
      await t.broker.scheduler.tick();
      expect((await read(request.id)).state).toBe('applied');
      await applyChanges(t, [{ action: 'disable', flag: 'checkout' }]);
    }
  });

  it('waits where a job edited what its human had proposed, by the rule of the job', async () => {
    const { body, headers } = await propose(t, enable('plain'), { start_ms: t.clock() + 3_600_000 });
    const changes = [{ action: 'update', flag: 'plain', set: { owner: 'team-of-the-job' } }];
    const edited = await t.call(
      await t.workloadToken(),
      'PATCH',
      `/v1/requests/${body.id}`,
      { changes },
      { 'if-match': headers.get('etag') ?? '' },
    );
    expect(edited.status).toBe(200);
    const revoked = await revoke(t, 'trust_rule', 'payments-deploy');
    expect(revoked.body.hits.requests).toMatchObject([{ id: body.id }]);
    t.clock.set(body.start_ms);
    await t.broker.scheduler.tick();
    expect(await read(body.id)).toMatchObject({ gates: [{ code: 'parked' }] });
    await liftWithTwo(t, revoked.body.id);
    await t.broker.scheduler.tick();
    expect((await read(body.id)).state).toBe('applied');
  });

  it('of others goes on', async () => {
    const request = await pending();
    await revoke(t, 'subject', 'emp-1006');
    await revoke(t, 'class', 'person');
    t.clock.advance(1000);
    expect((await approve(t, 'alex', request)).body.state).toBe('applied');
  });
});

describe('an approval', () => {
  /** A high-risk flag takes two approvals; alex gives the first. */
  async function halfApproved(): Promise<Reply['body']> {
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const { body } = await propose(t, enable('danger'), { ticket: TICKET });
    const approved = await approve(t, 'alex+mfa', body);
    expect(approved.body).toMatchObject({ state: 'pending', approvals: [{ counts: true, voided_ms: null }] });
    return body;
  }

  it.each<[string, () => string]>([
    ['subject', () => 'emp-1002'],
    ['subject', () => 'person:demo:alex'],
    ['class', () => 'person'],
  ])('of who is revoked by %s is void, and stays so when it is lifted', async (kind, value) => {
    const request = await halfApproved();
    t.clock.advance(1000);
    const revoked = await revoke(t, kind, value());
    expect(revoked.body.hits.approvals).toMatchObject([{ request: request.id, person: 'emp-1002' }]);
    const voided_ms = t.clock();
    t.clock.advance(1000);
    const look = async () => (await t.call('avery', 'GET', `/v1/requests/${request.id}`)).body;
    expect((await look()).approvals).toMatchObject([{ person: 'emp-1002', counts: false, voided_ms }]);
    await liftWithTwo(t, revoked.body.id);
    await t.broker.scheduler.tick();
    const second = await approve(t, 'sam+mfa', request);
    expect(second.body.state).toBe('pending');
    expect((await look()).approvals).toMatchObject([
      { person: 'emp-1002', counts: false, voided_ms },
      { person: 'emp-1003', counts: true },
    ]);
    // A new word of theirs is a new approval.
    expect((await approve(t, 'alex+mfa', request)).body.state).toBe('applied');
  });

  it('that made a request ready is missing again', async () => {
    const start_ms = t.clock() + 3_600_000;
    const request = await pending({ start_ms });
    expect((await approve(t, 'alex', request)).body.state).toBe('ready');
    await revoke(t, 'subject', 'emp-1002');
    await t.broker.scheduler.tick();
    expect(await readRequest(t, request.id)).toMatchObject({ state: 'pending' });
    t.clock.set(start_ms);
    await t.broker.scheduler.tick();
    expect(await enabled('checkout')).toBe(false);
  });

  it('given by a token that was stolen is void, and what its owner approves by another one is not', async () => {
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const [stolen, own] = [
      await t.people.idToken('alex', { mfa: true }),
      await t.people.idToken('sam', { mfa: true }),
    ];
    const { body: request } = await propose(t, enable('danger'), { ticket: TICKET });
    const update = [{ action: 'update', flag: 'danger', set: { owner: 'team-x' } }];
    const { body: other } = await propose(t, update, { ticket: TICKET });
    const word = (who: string, { id, digest }: Reply['body']) =>
      t.call(who, 'POST', `/v1/requests/${id}/approve`, { digest });
    await word(stolen, request);
    await approve(t, 'alex+mfa', other);
    await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(stolen).jti}`);
    expect((await readRequest(t, request.id)).approvals).toMatchObject([{ counts: false }]);
    expect((await readRequest(t, other.id)).approvals).toMatchObject([{ counts: true }]);
    expect((await word(own, request)).body.state).toBe('pending');
  });

  it('given in a session at the provider is void with it, and what was given in another one is not', async () => {
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const inSession = (who: string, sid: string) => t.people.idToken(who, { mfa: true, claims: { sid } });
    const [stolen, own] = [await inSession('alex', 'sid-1'), await inSession('sam', 'sid-2')];
    const { body: request } = await propose(t, enable('danger'), { ticket: TICKET });
    const update = [{ action: 'update', flag: 'danger', set: { owner: 'team-x' } }];
    const { body: other } = await propose(t, update, { ticket: TICKET });
    await approve(t, stolen, request);
    await approve(t, own, other);
    const { body } = await revoke(t, 'session', `${t.people.issuer}#sid-1`);
    expect(body.hits.approvals).toMatchObject([{ request: request.id, person: 'emp-1002' }]);
    expect((await readRequest(t, request.id)).approvals).toMatchObject([{ counts: false }]);
    expect((await readRequest(t, other.id)).approvals).toMatchObject([{ counts: true }]);
  });

  it('on a closed request stays as it was: it is evidence', async () => {
    const request = await pending();
    await approve(t, 'alex', request);
    await revoke(t, 'subject', 'emp-1002');
    expect((await readRequest(t, request.id)).approvals).toMatchObject([{ counts: true, voided_ms: null }]);
  });
});

describe('who was logged out by their provider', () => {
  const person = 'person:demo:dana';

  it('has what they wrote wait until they are back with a newer sign-in', async () => {
    const request = await pending();
    const old = await t.people.idToken('dana');
    t.clock.advance(1000);
    await logOut(t, person);
    expect((await t.call(old, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await approve(t, 'alex', request)).body.gates).toMatchObject([{ code: 'parked' }]);
    t.clock.advance(60_000);
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('pending');
    // A read is no write: the first thing that they do brings them back.
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(200);
    await propose(t, enable('plain'));
    await t.broker.scheduler.tick();
    expect((await read(request.id)).state).toBe('applied');
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=session.return')).body;
    expect(items).toMatchObject([
      { principal: { id: person }, outcome: { effect: 'allow', note: { code: 'returned' } } },
    ]);
    // What they held before stays revoked.
    expect((await t.call(old, 'GET', '/v1/whoami')).status).toBe(401);
  });

  it('comes back in the very write that would be parked', async () => {
    t.clock.advance(1000);
    await logOut(t, person);
    t.clock.advance(60_000);
    expect((await propose(t, enable('plain'))).body.state).toBe('applied');
  });

  it('is not brought back by another account of theirs, nor by a job', async () => {
    const request = await pending();
    t.clock.advance(1000);
    await logOut(t, person);
    t.clock.advance(60_000);
    await t.call('dana-alt', 'POST', `/v1/requests/${request.id}/approve`, { digest: request.digest });
    await propose(t, enable('plain'), {}, await t.workloadToken());
    expect((await approve(t, 'alex', request)).body.gates).toMatchObject([{ code: 'parked' }]);
  });

  it('loses approvals for good, whenever they come back', async () => {
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const { body: request } = await propose(t, enable('danger'), { ticket: TICKET });
    await approve(t, 'alex+mfa', request);
    t.clock.advance(60_000);
    await logOut(t, 'person:demo:alex');
    t.clock.advance(60_000);
    await propose(t, enable('plain'), {}, 'alex');
    expect((await approve(t, 'sam+mfa', request)).body).toMatchObject({ state: 'pending' });
  });

  it('has one logout at a time: the newest covers the others', async () => {
    for (let round = 0; round < 3; round += 1) {
      t.clock.advance(1000);
      await logOut(t, person);
    }
    const { items } = (await t.call('avery', 'GET', '/v1/revocations')).body;
    expect(items).toMatchObject([{ value: person, cause: 'logout', issued_before_ms: t.clock() }]);
  });

  it('is remembered until they are back, however long that takes', async () => {
    const request = await scheduled();
    await logOut(t, person, { expires_ms: t.clock() + 1000 });
    t.clock.set(request.start_ms);
    // Longer than what has expired is kept otherwise, and shorter than the request lives.
    for (let hours = 0; hours < 48; hours += 12) {
      await t.broker.scheduler.tick();
      t.clock.advance(12 * 3_600_000);
    }
    // What is in memory only does not count.
    await t.restart();
    await t.broker.scheduler.tick();
    expect(await read(request.id)).toMatchObject({ state: 'ready', gates: [{ code: 'parked' }] });
  });
});

describe('housekeeping', () => {
  it('forgets the revocation of a token that has expired, and keeps its record', async () => {
    const token = await t.workloadToken();
    const { body } = await revoke(t, 'token', `${t.url}#jti:${claimsOf(token).jti}`);
    const kept = (await revoke(t, 'subject', 'emp-1001')).body.id;
    const ids = async () =>
      (await t.call('avery', 'GET', '/v1/revocations')).body.items.map(({ id }: { id: string }) => id).sort();
    await passTime(t, body.expires_ms + 86_400_000 - t.clock());
    expect(await ids()).toEqual([body.id, kept].sort());
    await passTime(t, 2 * 3_600_000);
    expect(await ids()).toEqual([kept]);
    expect((await t.call('avery', 'GET', '/v1/decisions?operation=revocation.add')).body.items).toHaveLength(
      2,
    );
  });
});
