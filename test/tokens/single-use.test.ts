import { afterAll, beforeAll, expect, it } from 'vitest';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';

let t: TestBroker;

beforeAll(async () => {
  // A public URL of its own, so that a restart on another port is the same issuer.
  t = await startTestBroker({ config: { public_url: 'https://countersign.example' } });
});
afterAll(() => t.close());

it('a CI token is exchanged once, however many use it at the same moment, and never again after a restart', async () => {
  const token = await t.ci.token();
  const answers = await Promise.all(Array.from({ length: 50 }, () => exchange(t.url, token)));
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  for (const { status, body } of answers.filter((answer) => answer.status !== 200)) {
    expect([status, body.error]).toEqual([400, 'invalid_request']);
  }
  await t.restart();
  expect((await exchange(t.url, token)).status).toBe(400);
});

it('an issued token outlives a rotation of the keys and a restart', async () => {
  const token = await t.workloadToken();
  expect((await t.call('morgan', 'POST', '/v1/keys/rotate')).status).toBe(201);
  await t.restart();
  expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(200);
  expect((await t.call(null, 'GET', '/.well-known/jwks.json')).body.keys).toHaveLength(2);
});

it('a token of an issuer whose keys may not be fetched is refused like any other bad token', async () => {
  const bare = await startTestBroker({ config: { workload_issuers: [] } });
  const { status, body } = await exchange(bare.url, await bare.ci.token());
  expect([status, body.error]).toEqual([400, 'invalid_request']);
  await bare.close();
});
