import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenRefused } from '../../src/identity/refusal.ts';
import { parseTokenForm } from '../../src/identity/token-form.ts';
import { DELEGATION_TYPE, verifyDelegation } from '../../src/tokens/delegation.ts';
import { BROKER, createBench, START_S } from '../identity/support.ts';
import { exchange, type TestBroker } from '../support/broker.ts';
import { countRows } from '../support/flags.ts';
import {
  agentToken,
  claimsOf,
  delegate,
  delegationToken,
  exchangeAsAgent,
  GRANTED,
  ID_TOKEN,
  JWT,
  jobToken,
  lastRecord,
  startAgentBroker,
} from './agents.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startAgentBroker();
});
afterAll(() => t.close());

const nowS = () => Math.floor(t.clock() / 1000);

describe('a delegation', () => {
  it('is a token for one agent, with what the person is, and is not kept by anybody in between', async () => {
    const { status, body, headers } = await delegate(t, 'dana');
    expect(status).toBe(201);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      delegation_token: expect.any(String),
      expires_in: 900,
      scope: GRANTED.join(' '),
      may_act: { iss: t.url, sub: 'release-agent' },
    });
    expect(decodeProtectedHeader(body.delegation_token)).toMatchObject({
      typ: 'delegation+jwt',
      alg: 'EdDSA',
    });
    expect(claimsOf(body.delegation_token)).toMatchObject({
      iss: t.url,
      aud: t.url,
      sub: 'person:demo:dana',
      person: 'emp-1001',
      groups: ['payments-developers'],
      exp: nowS() + 900,
      may_act: body.may_act,
    });
  });

  it('is recorded with the agent, the end and the id, and never with the token', async () => {
    const { body } = await delegate(t, 'dana', { operations: ['flag.read'], expires_in_s: 60 });
    const claims = claimsOf(body.delegation_token);
    const record = await lastRecord(t, 'agent.delegate');
    expect(record).toMatchObject({
      principal: { id: 'person:demo:dana', kind: 'person' },
      outcome: { effect: 'allow', note: { code: 'delegated' } },
    });
    const { detail } = record.outcome.note;
    for (const part of [
      'release-agent',
      `jti:${claims.jti}`,
      'flag.read',
      new Date(claims.exp * 1000).toISOString(),
    ]) {
      expect(detail).toContain(part);
    }
    expect(JSON.stringify(record)).not.toContain(body.delegation_token.split('.')[2]);
  });

  it('has the operations that the person names, each once, and no others', async () => {
    const { body } = await delegate(t, 'dana', { operations: ['flag.read', 'request.propose', 'flag.read'] });
    expect(body.scope).toBe('flag.read request.propose');
  });

  it('ends with the sign-in of the person at last', async () => {
    const old = await t.people.idToken('dana');
    t.clock.advance(3500_000);
    const { body } = await delegate(t, old, { expires_in_s: 3600 });
    expect(body.expires_in).toBe(100);
    expect(claimsOf(body.delegation_token).exp).toBe(claimsOf(old).exp);
    t.clock.advance(100_500);
    // Within the leeway the token still counts, but nothing could live.
    expect(await delegate(t, old)).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  });

  it.each([
    ['more than an hour', { expires_in_s: 3601 }],
    ['no time at all', { expires_in_s: 0 }],
    ['half a second', { expires_in_s: 0.5 }],
    ['no operation', { operations: [] }],
    ['an operation that does not exist', { operations: ['flag.write'] }],
    ['something unknown', { sub: 'person:demo:riley' }],
    ['no agent', { agent: '' }],
  ])('of %s is refused, and nothing is written', async (_name, order) => {
    const before = await countRows(t);
    expect(await delegate(t, 'dana', order)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    });
    expect(await countRows(t)).toEqual(before);
  });

  it.each([
    ['an operation that the rule does not grant', { operations: ['request.approve'] }],
    ['an agent that is a workload', { agent: 'payments-deploy' }],
    ['an agent that nobody knows', { agent: 'nobody' }],
    ['an agent by the name of a prototype', { agent: 'constructor' }],
  ])('of %s is allowed, cannot be done, and leaves its record', async (_name, order) => {
    const { body } = await delegate(t, 'dana', order);
    expect(body).toMatchObject({ code: 'invalid_request', decision_id: expect.any(String) });
    const record = await t.call('avery', 'GET', `/v1/decisions/${body.decision_id}`);
    expect(record.body).toMatchObject({
      operation: 'agent.delegate',
      outcome: { effect: 'allow', note: { code: 'invalid_request' } },
    });
  });

  it('takes a role, and only persons have it', async () => {
    expect(await delegate(t, 'alex')).toMatchObject({
      status: 403,
      body: { reasons: [expect.objectContaining({ code: 'role_missing' })] },
    });
    // Whoever may not delegate does not hear which agents there are.
    expect((await delegate(t, 'alex', { agent: 'nobody' })).status).toBe(403);
    const workload = await t.workloadToken();
    for (const token of [workload, await agentToken(t)]) {
      const { status, body } = await delegate(t, token);
      expect(status).toBe(403);
      expect(body.reasons).toContainEqual(expect.objectContaining({ code: 'not_a_person' }));
    }
    expect((await t.call(null, 'POST', '/v1/delegations', { agent: 'release-agent' })).status).toBe(401);
  });

  it('carries 200 groups of 36 characters to the agent, the most that Entra sends', async () => {
    const groups = Array.from({ length: 199 }, (_, place) => `group-${place}`.padEnd(36, '-'));
    const many = await t.people.idToken('dana', { claims: { groups: ['payments-developers', ...groups] } });
    const delegation = (await delegate(t, many)).body.delegation_token;
    const agent = await exchangeAsAgent(t, delegation);
    const { body } = await t.call(agent.body.access_token, 'GET', '/v1/whoami');
    expect(body.principal).toMatchObject({ kind: 'agent', groups: ['payments-developers', ...groups] });
  });

  it('by a person with too many groups is refused with what to do', async () => {
    const groups = Array.from({ length: 150 }, (_, place) => `a-group-${place}`.padEnd(70, '-'));
    const many = await t.people.idToken('dana', { claims: { groups: ['payments-developers', ...groups] } });
    const { status, body } = await delegate(t, many);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.detail).toMatch(/identity provider to send fewer/);
  });
});

describe('a delegation token', () => {
  it('is no access token', async () => {
    const token = await delegationToken(t);
    for (const [method, path] of [
      ['GET', '/v1/requests'],
      ['POST', '/v1/delegations'],
    ] as const) {
      expect((await t.call(token, method, path, undefined)).status).toBe(401);
    }
    const flags = await t.call(null, 'POST', '/ofrep/v1/evaluate/flags', {}, { 'x-api-key': token });
    expect(flags.status).toBe(401);
  });

  it('cannot be used alone, whatever token type it is given', async () => {
    const token = await delegationToken(t);
    for (const subject_token_type of [JWT, ID_TOKEN]) {
      const { status, body } = await exchange(t.url, token, { subject_token_type });
      expect([status, body.error]).toEqual([400, 'invalid_request']);
    }
  });

  it('is no token of an agent', async () => {
    const [subject, actor_token] = [await delegationToken(t), await delegationToken(t)];
    expect((await exchangeAsAgent(t, subject, { actor_token })).status).toBe(400);
  });

  it('works for several exchanges until it ends, each with a new token of the agent', async () => {
    const token = await delegationToken(t, 'dana', { expires_in_s: 120 });
    expect((await exchangeAsAgent(t, token)).status).toBe(200);
    expect((await exchangeAsAgent(t, token)).status).toBe(200);
    t.clock.advance(120_000);
    expect((await exchangeAsAgent(t, token)).status).toBe(400);
  });

  it('outlives a rotation of the signing keys', async () => {
    const token = await delegationToken(t, 'dana', { expires_in_s: 3600 });
    expect((await t.call('morgan', 'POST', '/v1/keys/rotate')).status).toBe(201);
    t.clock.advance(3_500_000);
    const actor_token = await jobToken(t);
    expect((await exchangeAsAgent(t, token, { actor_token })).status).toBe(200);
  });

  it('is for the broker alone, by its own type and in its own shape', async () => {
    const { clock, signingKeys } = await createBench([]);
    const sound = {
      ...claimsOf(await delegationToken(t)),
      iss: BROKER,
      aud: BROKER,
      iat: START_S,
      exp: START_S + 60,
    };
    const verify = async (changes: Record<string, unknown>) => {
      const token = await signingKeys.sign({ ...sound, ...changes }, DELEGATION_TYPE);
      return verifyDelegation({ issuer: BROKER, signingKeys, clock }, token, parseTokenForm(token));
    };
    expect(await verify({})).toMatchObject({ sub: 'person:demo:dana' });
    for (const wrong of [
      { aud: 'https://other.example' },
      { aud: [BROKER, 'https://other.example'] },
      { sub: 'agent:release-agent:x' },
      { may_act: { sub: 'release-agent' } },
      { scope: '' },
      { origins: [] },
      { person: null },
      { exp: START_S - 60 },
    ]) {
      await expect(verify(wrong), JSON.stringify(wrong)).rejects.toBeInstanceOf(TokenRefused);
    }
  });

  it('is refused once a byte of it is changed', async () => {
    const [header, payload, signature] = (await delegationToken(t)).split('.');
    const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
    const wider = Buffer.from(JSON.stringify({ ...claims, groups: ['security'] })).toString('base64url');
    expect((await exchangeAsAgent(t, `${header}.${wider}.${signature}`)).status).toBe(400);
  });
});
