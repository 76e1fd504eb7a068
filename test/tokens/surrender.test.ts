import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listActiveRevocations } from '../../src/store/revocations.ts';
import { exchange, type TestBroker } from '../support/broker.ts';
import { createProofKey, exchangeBound } from '../support/dpop.ts';
import { countRows } from '../support/flags.ts';
import {
  agentToken,
  claimsOf,
  delegationToken,
  exchangeAsAgent,
  lastRecord,
  startAgentBroker,
} from './agents.ts';
import { postForm } from './forms.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startAgentBroker({ config: { public_url: 'https://countersign.example' } });
});
afterAll(() => t.close());

const surrender = (token: string, more = {}) => postForm(t, '/oauth/revoke', { token, ...more });

describe('a token that its holder gives up', () => {
  it('is refused on the next request, and after a restart', async () => {
    const token = await t.workloadToken();
    expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(200);
    const { status, body, headers } = await surrender(token);
    expect({ status, body }).toEqual({ status: 200, body: null });
    expect(headers.get('cache-control')).toBe('no-store');
    expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(401);
    await t.restart();
    expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(401);
  });

  it('leaves a record by its own principal, and a revocation that ends with it', async () => {
    const token = await t.workloadToken();
    const { sub, jti, exp } = claimsOf(token);
    await surrender(token, { token_type_hint: 'access_token' });
    expect(await lastRecord(t, 'token.revoke')).toMatchObject({
      principal: { id: sub },
      outcome: { effect: 'allow' },
      correlation: { token: `jti:${jti}` },
    });
    const revocations = await listActiveRevocations(t.broker.store.read);
    const value = `https://countersign.example#jti:${jti}`;
    expect(revocations.find((revocation) => revocation.value === value)).toMatchObject({
      kind: 'token',
      cause: 'holder',
      issued_before_ms: null,
      expires_ms: (exp + 30) * 1000,
    });
  });

  it('may be a person’s ID token; their other ones go on', async () => {
    const token = await t.people.idToken('dana');
    await surrender(token);
    expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(401);
    const next = await t.people.idToken('dana');
    expect((await t.call(next, 'GET', '/v1/requests')).status).toBe(200);
  });

  it('may be one for flags: nothing is read with it any more, though it was in use a moment ago', async () => {
    const token = await t.workloadToken('checkout', { audience: 'data:production' });
    const path = '/ofrep/v1/evaluate/flags';
    expect((await t.call(token, 'POST', path, {})).status).toBe(200);
    await surrender(token);
    expect((await t.call(token, 'POST', path, {})).status).toBe(401);
  });

  it('may be a bound one, without its key: a thief could do no more than end it', async () => {
    const key = await createProofKey(t.clock);
    const url = 'https://countersign.example/v1/requests';
    const proofs = [await key.proof({ method: 'POST', url: 'https://countersign.example/oauth/token' })];
    const { access_token: token } = (await exchangeBound(t.url, await t.ci.token(), { proofs })).body;
    expect((await surrender(token)).status).toBe(200);
    const dpop = await key.proof({ method: 'GET', url, token });
    const headers = { authorization: `DPoP ${token}`, dpop };
    expect((await t.call(null, 'GET', '/v1/requests', undefined, headers)).status).toBe(401);
  });

  it('may be a delegation: no agent gets a token for it, and tokens issued for it are refused', async () => {
    const delegation = await delegationToken(t);
    const before = await exchangeAsAgent(t, delegation);
    expect((await t.call(before.body.access_token, 'GET', '/v1/requests')).status).toBe(200);
    await surrender(delegation);
    expect((await t.call(before.body.access_token, 'GET', '/v1/requests')).status).toBe(401);
    expect((await exchangeAsAgent(t, delegation)).status).toBe(400);
  });

  it('may be an agent’s: the delegation goes on', async () => {
    const token = await agentToken(t);
    await surrender(token);
    expect((await t.call(token, 'GET', '/v1/requests')).status).toBe(401);
    expect((await t.call(await agentToken(t), 'GET', '/v1/requests')).status).toBe(200);
  });

  it('is recorded once, however often it is given up at the same moment', async () => {
    const token = await t.workloadToken();
    const before = (await countRows(t)).records ?? 0;
    const answers = await Promise.all(Array.from({ length: 20 }, () => surrender(token)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect((await countRows(t)).records).toBe(before + 1);
    const own = (await listActiveRevocations(t.broker.store.read)).filter(({ value }) =>
      value.endsWith(claimsOf(token).jti),
    );
    expect(own).toHaveLength(1);
  });
});

describe('a token that is already useless', () => {
  it('is answered as if it had been given up, and leaves nothing', async () => {
    const token = await t.workloadToken();
    const [header, payload] = token.split('.');
    const expired = await t.workloadToken();
    t.clock.advance(16 * 60_000);
    const before = await countRows(t);
    const worthless = [
      'x',
      'a.b.c',
      `${header}.${payload}.AAAA`,
      expired,
      token,
      await t.ci.token(),
      'x'.repeat(9000),
    ];
    for (const shown of worthless) {
      const { status, body } = await surrender(shown);
      expect({ status, body }).toEqual({ status: 200, body: null });
    }
    expect(await countRows(t)).toEqual(before);
  });

  it('does not use up a platform’s token', async () => {
    const platform = await t.ci.token();
    await surrender(platform);
    expect((await exchange(t.url, platform)).status).toBe(200);
  });
});
