import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, TICKET } from '../support/flags.ts';
import { follow, type GotEvent } from './stream.ts';

let t: TestBroker;
let flags = 0;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

async function bearer(who: string, claims: Record<string, unknown> = {}): Promise<Record<string, string>> {
  const [person = '', factor] = who.split('+');
  return { authorization: `Bearer ${await t.people.idToken(person, { mfa: factor === 'mfa', claims })}` };
}

async function pending(): Promise<Reply['body']> {
  flags += 1;
  const flag = await createFlag(t, `flag-${flags}`);
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET });
  expect(body.state).toBe('pending');
  return body;
}

const about =
  (id: string, type: string, operation?: string) =>
  ({ event, data }: GotEvent) =>
    event === type && data.request?.id === id && (operation === undefined || data.operation === operation);

it('tells each step of a request, in the order of the log, and no words of anybody', async () => {
  const client = await follow(t, await bearer('alex'));
  const request = await pending();
  await t.call('sam', 'POST', `/v1/requests/${request.id}/comments`, { text: 'a secret remark' });
  await t.call('dana-alt', 'POST', `/v1/requests/${request.id}/approve`, { digest: request.digest });
  await approve(t, 'alex', request);
  const applied = await client.until(
    ({ data }) => data?.request?.id === request.id && data.request.to === 'applied',
  );
  expect(applied).toMatchObject({
    event: 'request',
    data: {
      operation: 'request.apply',
      effect: 'allow',
      environment: 'production',
      flags: [request.changes[0].flag.key],
    },
  });
  const own = client.events.filter(({ data }) => data?.request?.id === request.id);
  // What was refused, and moved nothing, is told to nobody.
  expect(own.map(({ event, data }) => [event, data.operation, data.request.to])).toEqual([
    ['request', 'request.propose', 'pending'],
    ['comment', 'request.comment', 'pending'],
    ['vote', 'request.approve', 'pending'],
    ['request', 'request.apply', 'applied'],
  ]);
  const places = client.events.slice(1).map(({ id, data }) => [id, data.place]);
  expect(places).toEqual([...places].sort((one, other) => Number(one[1]) - Number(other[1])));
  for (const [id, place] of places) expect(id).toBe(`1-${place}`);
  expect(JSON.stringify(client.events)).not.toMatch(/secret|emp-|person:|a test/);
  await client.close();
});

it('tells of freezes and their lifts', async () => {
  const client = await follow(t, await bearer('avery'));
  const order = { scope: 'environment', environment: 'staging', incident: 'INC-1', reason: 'a test' };
  const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
  const engaged = await client.until(({ event }) => event === 'freeze');
  expect(engaged.data).toMatchObject({ freeze: { id: freeze.id, change: 'engaged' }, request: null });
  const { body: lift } = await t.call('riley', 'POST', '/v1/requests', {
    kind: 'freeze.lift',
    freeze: freeze.id,
    reason: 'over',
  });
  await approve(t, 'sam', lift);
  const lifted = await client.until(({ data }) => data?.freeze?.change === 'lifted');
  expect(lifted).toMatchObject({ event: 'freeze', data: { request: { id: lift.id, to: 'applied' } } });
  await client.close();
});

it('tells of revocations whoever may read them, and of their lifts', async () => {
  const auditor = await follow(t, await bearer('avery'));
  const approver = await follow(t, await bearer('alex'));
  const order = { kind: 'trust_rule', value: 'payments-deploy', incident: 'INC-1', reason: 'a test' };
  const { status, body: revocation } = await t.call('riley', 'POST', '/v1/revocations', order);
  expect(status).toBe(201);
  const revoked = await auditor.until(({ event }) => event === 'revocation');
  expect(revoked.data).toMatchObject({ operation: 'revocation.add', effect: 'allow', request: null });
  const { body: lift } = await t.call('riley', 'POST', '/v1/requests', {
    kind: 'revocation.lift',
    revocation: revocation.id,
    reason: 'over',
  });
  expect((await approve(t, 'sam+mfa', lift)).body.state).toBe('applied');
  const lifted = await auditor.until(
    ({ data }) => data?.request?.id === lift.id && data.request.to === 'applied',
  );
  expect(lifted.data.request.kind).toBe('revocation.lift');
  const seen = await pending();
  await approver.until(about(seen.id, 'request'));
  expect(approver.events.filter(({ event }) => event === 'revocation')).toEqual([]);
  expect(JSON.stringify(auditor.events)).not.toContain('payments-deploy');
  await Promise.all([auditor.close(), approver.close()]);
});

it('shows a client only what its caller may read', async () => {
  const everywhere = await follow(t, await bearer('avery'));
  const payments = await follow(t, await bearer('alex'));
  const scope = { scope: 'namespace', namespace: 'search', environment: 'production', yet_unknown: true };
  const order = { ...scope, incident: 'INC-1', reason: 'a test' };
  const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
  const content = { kind: 'freeze.lift', freeze: freeze.id, reason: 'over' };
  const { body: lift } = await t.call('riley', 'POST', '/v1/requests', content);
  await everywhere.until(({ data }) => data?.freeze?.id === freeze.id);
  await everywhere.until(about(lift.id, 'request'));
  const seen = await pending();
  await payments.until(about(seen.id, 'request'));
  expect(payments.events.filter(({ event }) => event === 'freeze')).toEqual([]);
  expect(payments.events.filter(about(lift.id, 'request'))).toEqual([]);
  await t.call('riley', 'POST', `/v1/requests/${lift.id}/withdraw`);
  await Promise.all([everywhere.close(), payments.close()]);
});

it('goes on where a client was, and says so when that is too far back or of another log', async () => {
  const first = await follow(t, await bearer('alex'));
  const one = await pending();
  const { id } = await first.until(about(one.id, 'request'));
  await first.close();
  await approve(t, 'alex', one);
  const two = await pending();
  const second = await follow(t, { ...(await bearer('alex')), 'last-event-id': id });
  await second.until(about(two.id, 'request', 'request.propose'));
  expect(second.events.filter(about(one.id, 'request', 'request.propose'))).toEqual([]);
  expect(second.events.filter(about(one.id, 'vote'))).toHaveLength(1);
  const ids = second.events.map((event) => event.id);
  expect(new Set(ids).size).toBe(ids.length);
  await second.close();
  for (const last of ['2-1', '1-99999', 'x', '1-', '-1--1', '1'.repeat(40)]) {
    const client = await follow(t, { ...(await bearer('alex')), 'last-event-id': last });
    expect(client.events[0]?.event).toBe('reset');
    await client.close();
  }
});

it('refuses whoever may read no request, and every other method', async () => {
  for (const [headers, status] of [
    [{}, 401],
    [{ authorization: 'Bearer x' }, 401],
    [await bearer('dana', { groups: [] }), 403],
  ] as const) {
    const client = await follow(t, headers);
    expect(client.status).toBe(status);
    await client.ended;
  }
  expect((await t.call('dana', 'POST', '/v1/events')).status).toBe(405);
});

it('ends when its caller is revoked', async () => {
  const revoked = await follow(t, await bearer('casey'));
  const other = await follow(t, await bearer('alex'));
  const order = { kind: 'subject', value: 'emp-1004', incident: 'INC-1', reason: 'left' };
  expect((await t.call('riley', 'POST', '/v1/revocations', order)).status).toBe(201);
  await revoked.ended;
  const request = await pending();
  await other.until(about(request.id, 'request'));
  expect(revoked.events.filter(about(request.id, 'request'))).toEqual([]);
  await other.close();
});

it('ends with the token', async () => {
  const client = await follow(t, await bearer('alex'));
  t.clock.advance(24 * 3_600_000);
  await client.ended;
});
