import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PlatformIssuer, startPlatformIssuer } from '../../fixtures/identity/platforms/issuer.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { addAgents, claimsOf, exchangeAsAgent, jobToken } from './agents.ts';

/*
 * What one issuer says must not count as a statement of another, nor a token of one kind as one of another kind.
 */

const GRANT = {
  audiences: ['control'],
  operations: ['request.propose', 'flag.read'],
  environments: ['staging'],
  namespaces: ['payments'],
  token_ttl_s: 300,
};

let t: TestBroker;
/** A second platform, with agents of its own. */
let other: PlatformIssuer;
/** An identity provider that people and services have in common. */
let corp: PlatformIssuer;

beforeAll(async () => {
  [other, corp] = await Promise.all([startPlatformIssuer(), startPlatformIssuer()]);
  t = await startTestBroker({
    editData: (data, { ci }) => {
      const edited = addAgents(structuredClone(data), ci) as {
        config: { trust_rules: Record<string, unknown> };
      };
      Object.assign(edited.config.trust_rules, {
        'foreign-agent': {
          kind: 'agent',
          issuer: other.issuer,
          audience: 'countersign',
          claims: { workspace_id: '7' },
          grant: GRANT,
        },
        'corp-person': {
          issuer: corp.issuer,
          audience: 'corp-cli',
          claims: { tenant_id: '7' },
          grant: GRANT,
        },
        'corp-service': {
          issuer: corp.issuer,
          audience: 'corp-services',
          claims: { tenant_id: '7' },
          grant: GRANT,
        },
        'team-a': {
          issuer: other.issuer,
          audience: 'countersign',
          claims: { team_id: '9' },
          grant: { ...GRANT, operations: ['flag.read'] },
        },
        'team-b': {
          issuer: other.issuer,
          audience: 'countersign',
          claims: { team_id: '9' },
          grant: GRANT,
        },
        'team-flags': {
          issuer: other.issuer,
          audience: 'countersign',
          claims: { team_id: '9' },
          grant: {
            ...GRANT,
            audiences: ['data:production'],
            operations: [],
            environments: ['production'],
          },
        },
        'wide-service': {
          issuer: other.issuer,
          audience: 'countersign',
          claims: { workspace_id: '8' },
          grant: {
            ...GRANT,
            audiences: ['data:staging'],
            namespaces: Array.from({ length: 240 }, (_, index) => `team-${index}-${'x'.repeat(50)}`),
          },
        },
      });
      return edited;
    },
    config: (defaults) => ({
      issuers: [
        ...(defaults.issuers as unknown[]),
        {
          key: 'corp',
          issuer: corp.issuer,
          allow_insecure_loopback: true,
          audience: 'corp-cli',
          disjoint: true,
        },
      ],
      workload_issuers: [
        ...(defaults.workload_issuers as unknown[]),
        { issuer: other.issuer, allow_insecure_loopback: true },
        { issuer: corp.issuer, allow_insecure_loopback: true },
      ],
    }),
  });
});
afterAll(() => Promise.all([t.close(), other.close(), corp.close()]));

let signed = 0;

/** A token of an issuer, which says whatever it likes. */
function tokenOf(platform: PlatformIssuer, claims: Record<string, unknown>): Promise<string> {
  const iat = Math.floor(t.clock() / 1000);
  signed += 1;
  const times = { iat, exp: iat + 300, jti: `token-${signed}` };
  return platform.sign({ iss: platform.issuer, aud: 'countersign', ...times, ...claims });
}

describe('an agent that a person’s issuer names by its subject alone', () => {
  const named = async (mayAct: Record<string, unknown>): Promise<string> =>
    t.people.idToken('dana', { claims: { may_act: mayAct } });

  it('is no agent of another platform, which gives the same subject', async () => {
    const { sub } = claimsOf(await jobToken(t));
    const impostor = () => tokenOf(other, { sub, workspace_id: '7' });
    const reply = await exchangeAsAgent(t, await named({ sub }), { actor_token: await impostor() });
    expect([reply.status, reply.body.error]).toEqual([400, 'invalid_request']);
    // Nor can anybody say which of them was meant, so the issuer has to be named.
    expect((await exchangeAsAgent(t, await named({ sub }))).status).toBe(400);
    const exact = { iss: t.ci.issuer, sub };
    const crossed = await exchangeAsAgent(t, await named(exact), { actor_token: await impostor() });
    expect(crossed.status).toBe(400);
    expect((await exchangeAsAgent(t, await named(exact))).status).toBe(200);
  });
});

describe('a token of an issuer that people and workloads have in common', () => {
  it('is no workload’s where it is for people, who would be two principals by it', async () => {
    const idToken = await tokenOf(corp, { aud: 'corp-cli', sub: 'mallory', tenant_id: '7' });
    expect((await t.call(idToken, 'GET', '/v1/sessions')).status).toBe(200);
    const reply = await exchange(t.url, idToken);
    expect([reply.status, reply.body.error]).toEqual([400, 'invalid_request']);
    const listed = await tokenOf(corp, { aud: ['corp-cli'], sub: 'mallory', tenant_id: '7' });
    expect((await exchange(t.url, listed)).status).toBe(400);
    const { body } = await t.call('avery', 'POST', '/v1/trust/test', { token: idToken });
    expect(body).toMatchObject({ would_issue: null, refusal: { reason: 'audience_not_accepted' } });
  });

  it('is a workload’s where it is for workloads, and no person’s', async () => {
    const token = await tokenOf(corp, { aud: 'corp-services', sub: 'deployer', tenant_id: '7' });
    expect((await t.call(token, 'GET', '/v1/sessions')).status).toBe(401);
    const { status, body } = await exchange(t.url, token);
    expect([status, claimsOf(body.access_token).sub]).toEqual([200, 'workload:corp-service:deployer']);
  });
});

describe('a token that several rules match', () => {
  const both = (): Promise<string> => tokenOf(other, { sub: 'reader', workspace_id: '8', team_id: '9' });

  it('gets what one of them grants, the first by name that grants the audience, and never the sum', async () => {
    const { status, body } = await exchange(t.url, await both(), { audience: 'data:production' });
    expect([status, claimsOf(body.access_token)]).toEqual([
      200,
      expect.objectContaining({ trust_rule: 'team-flags', namespaces: ['payments'] }),
    ]);
    const control = await exchange(t.url, await both());
    expect(claimsOf(control.body.access_token)).toMatchObject({ trust_rule: 'team-a', scope: 'flag.read' });
    const sum = await exchange(t.url, await both(), { scope: 'flag.read request.propose' });
    expect([sum.status, sum.body.error]).toEqual([400, 'invalid_scope']);
  });

  it('does not get it by the second one where the first is revoked', async () => {
    const riley = await t.people.idToken('riley', { mfa: true });
    const order = { kind: 'trust_rule', value: 'team-a', incident: 'INC-1', reason: 'leaked' };
    const { status } = await t.call(riley, 'POST', '/v1/revocations', order);
    expect(status).toBe(201);
    expect((await exchange(t.url, await both())).status).toBe(400);
  });
});

it('a grant that fits no token is refused: what would come is refused everywhere', async () => {
  const token = await tokenOf(other, { sub: 'reader', workspace_id: '8' });
  const { status, body } = await exchange(t.url, token, { audience: 'data:staging' });
  expect([status, body.error]).toEqual([400, 'invalid_request']);
  expect(body).not.toHaveProperty('access_token');
});
