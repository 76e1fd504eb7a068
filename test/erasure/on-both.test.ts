import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { withoutRetention } from '../support/erasures.ts';
import { approve, createFlag, creation, propose } from '../support/flags.ts';

/* The same on each engine, seen from outside. */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({ editData: withoutRetention });
  await createFlag(t, 'checkout');
  await t.broker.scheduler.tick();
});
afterAll(() => t.close());

it('a person is erased while they write: what they write meanwhile is kept, or nothing is erased', async () => {
  const { body: before } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
  const content = { kind: 'person.erase', subject: before.pseudonym, reason: 'gone' };
  const { body: request } = await t.call('morgan', 'POST', '/v1/requests', content);
  await approve(t, 'avery', request);
  const [applied, written] = await Promise.all([
    approve(t, 'sam', request),
    propose(t, [creation('second')], { apply: 'manual' }),
  ]);
  expect(written.status).toBe(201);
  const { body: after } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
  if (applied.body.state === 'applied') {
    expect(after.pseudonym).not.toBe(before.pseudonym);
    expect(after.places).toHaveLength(1);
  } else {
    expect(applied.body.state).toBe('conflicted');
    expect(after.places).toEqual([...before.places, expect.any(Number)]);
  }
});

it('a person is erased whole', async () => {
  const { body: found } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
  for (const id of found.open_requests) await t.call('dana', 'POST', `/v1/requests/${id}/withdraw`, {});
  const { body: now } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
  const content = { kind: 'person.erase', subject: now.pseudonym, reason: 'gone' };
  const { body: request } = await t.call('morgan', 'POST', '/v1/requests', content);
  // Their own attempt is recorded, and erased with everything else.
  expect((await approve(t, 'dana', request)).status).toBe(404);
  await approve(t, 'avery', request);
  expect((await approve(t, 'sam', request)).body.state).toBe('conflicted');
  // Another one that is open, and that they tried to vote on.
  const { body: other } = await t.call('morgan', 'POST', '/v1/requests', { ...content, reason: 'twice' });
  expect((await approve(t, 'dana', other)).status).toBe(404);
  const { body: second } = await t.call('morgan', 'POST', '/v1/requests', content);
  await approve(t, 'avery', second);
  expect((await approve(t, 'sam', second)).body).toMatchObject({ state: 'applied' });
  await approve(t, 'sam', other);
  expect((await approve(t, 'avery', other)).body).toMatchObject({ state: 'conflicted' });
  expect((await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' })).status).toBe(404);
  const seen = await t.call('sam', 'GET', '/v1/requests?limit=200');
  expect(JSON.stringify(seen.body)).not.toMatch(/emp-1001|demo:dana/);
  const read = await t.call('avery', 'GET', '/v1/decisions?limit=200');
  expect(JSON.stringify(read.body)).not.toMatch(/emp-1001|demo:dana/);
});

it('lists that find nothing are empty', async () => {
  for (const list of ['evaluations', 'decisions?to=1']) {
    const { status, body } = await t.call('avery', 'GET', `/v1/${list}`);
    expect([list, status, body.items]).toEqual([list, 200, []]);
  }
});
