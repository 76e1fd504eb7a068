import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange, type TestBroker } from '../support/broker.ts';
import {
  agentToken,
  claimsOf,
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
/** The agent at its platform. */
let job: { iss: string; sub: string };

beforeAll(async () => {
  t = await startAgentBroker();
  const { iss, sub } = claimsOf(await jobToken(t));
  job = { iss, sub };
});
afterAll(() => t.close());

/** An ID token of dana's, in which her identity provider says more. */
const idToken = (claims: Record<string, unknown>): Promise<string> => t.people.idToken('dana', { claims });

describe('an exchange with an actor token', () => {
  it('gives a token of the agent that names the person and who acts', async () => {
    const delegation = await delegationToken(t);
    const { status, body } = await exchangeAsAgent(t, delegation);
    expect(status).toBe(200);
    expect(body).toMatchObject({ expires_in: 300, scope: GRANTED.join(' '), token_type: 'Bearer' });
    const claims = claimsOf(body.access_token);
    expect(claims).toMatchObject({
      sub: `agent:release-agent:${job.sub}`,
      client_id: 'release-agent',
      trust_rule: 'release-agent',
      aud: 'control',
      person: 'emp-1001',
      subject_issuer: t.people.issuer,
      act: { sub: `workload:release-agent:${job.sub}` },
      sponsor: { groups: ['payments-developers'] },
    });
    // The agent never signed in, and its job's claims are not the person's.
    for (const claim of ['acr', 'amr', 'auth_time', 'may_act']) expect(claims).not.toHaveProperty(claim);
    expect(claims.claims).toEqual({});
  });

  it('is recorded with the person, the agent and the tokens that it came from', async () => {
    const delegation = await delegationToken(t);
    const actor = await jobToken(t);
    await exchangeAsAgent(t, delegation, { actor_token: actor });
    expect(await lastRecord(t, 'token.exchange')).toMatchObject({
      principal: {
        id: `agent:release-agent:${job.sub}`,
        kind: 'agent',
        person: 'emp-1001',
        trust_rule: 'release-agent',
        act: [`workload:release-agent:${job.sub}`],
      },
      outcome: { effect: 'allow' },
      correlation: {
        ci_run: '987654321',
        token: `jti:${claimsOf(actor).jti}`,
        origins: [
          `jti:${claimsOf(delegation).jti}`,
          expect.stringMatching(/^jti:/),
          `jti:${claimsOf(actor).jti}`,
        ],
      },
    });
  });

  it('takes the actor token once, however many use it at the same moment', async () => {
    const [delegation, actor_token] = [await delegationToken(t), await jobToken(t)];
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => exchangeAsAgent(t, delegation, { actor_token })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(400)]);
    const another = await delegationToken(t);
    expect((await exchangeAsAgent(t, another, { actor_token })).status).toBe(400);
  });

  it.each([
    ['without its type', { actor_token_type: '' }],
    ['with another type', { actor_token_type: 'urn:ietf:params:oauth:token-type:access_token' }],
    ['that is missing though its type is there', { actor_token: '' }],
  ])('%s is a malformed request', async (_name, form) => {
    const { status, body } = await exchangeAsAgent(t, await delegationToken(t), form);
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(body.error_description).toMatch(/actor_token/);
  });

  it('is refused for a workload: only rules of kind agent act for somebody', async () => {
    const actor_token = await t.ci.token();
    expect((await exchangeAsAgent(t, await delegationToken(t), { actor_token })).status).toBe(400);
  });

  it('is refused with an agent of another rule than the one that was named', async () => {
    const actor_token = await jobToken(t, 'other-agent');
    expect((await exchangeAsAgent(t, await delegationToken(t), { actor_token })).status).toBe(400);
    const subject = await delegationToken(t, 'dana', { agent: 'other-agent' });
    expect((await exchangeAsAgent(t, subject)).status).toBe(400);
    expect((await exchangeAsAgent(t, subject, { actor_token })).status).toBe(200);
  });

  it('never makes an agent act for itself, for a workload or for another agent', async () => {
    const subjects = [await jobToken(t), await t.ci.token(), await t.workloadToken(), await agentToken(t)];
    for (const subject of subjects) {
      const { status, body } = await exchangeAsAgent(t, subject);
      expect([status, body.error]).toEqual([400, 'invalid_request']);
    }
  });

  it('is needed by an agent: its own token alone gives nothing', async () => {
    expect((await exchange(t.url, await jobToken(t))).status).toBe(400);
  });
});

describe("a person's ID token as the subject", () => {
  it.each([
    ['names the agent at its platform', () => ({ may_act: job })],
    ['names the agent by its subject alone', () => ({ may_act: { sub: job.sub } })],
    ['names the trust rule', () => ({ may_act: { iss: t.url, sub: 'release-agent' } })],
  ])('works where it %s', async (_name, claims) => {
    for (const subject_token_type of [JWT, ID_TOKEN]) {
      const { status, body } = await exchangeAsAgent(t, await idToken(claims()), { subject_token_type });
      expect(status).toBe(200);
      expect(claimsOf(body.access_token)).toMatchObject({ person: 'emp-1001' });
    }
  });

  it.each([
    ['says nothing of an agent', () => ({})],
    ['names another subject', () => ({ may_act: { ...job, sub: 'repo:acme/else' } })],
    ['names another issuer', () => ({ may_act: { ...job, iss: 'https://ci.example' } })],
    ['names another trust rule', () => ({ may_act: { iss: t.url, sub: 'other-agent' } })],
    ['names a trust rule that there is not', () => ({ may_act: { iss: t.url, sub: '__proto__' } })],
    ['names the trust rule without saying whose name it is', () => ({ may_act: { sub: 'release-agent' } })],
    ['names nobody', () => ({ may_act: {} })],
    ['names a list', () => ({ may_act: [job] })],
    ['has a text for may_act', () => ({ may_act: job.sub })],
    ['has the actor where the permission should be', () => ({ act: job })],
    ['is for another client', () => ({ may_act: job, azp: 'somebody-else' })],
    ['names no human', () => ({ may_act: job, employee_id: undefined })],
  ])('is refused where it %s', async (_name, claims) => {
    const { status, body } = await exchangeAsAgent(t, await idToken(claims()));
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(body.error_description).toMatch(/^the subject token was not accepted/);
  });

  it('keeps the chain of those who acted before, newest first, up to five', async () => {
    const chain = (names: string[]): unknown =>
      names.reduceRight<unknown>((act, sub) => (act === undefined ? { sub } : { sub, act }), undefined);
    const four = ['d', 'c', 'b', 'a'];
    const { body } = await exchangeAsAgent(t, await idToken({ may_act: job, act: chain(four) }));
    const act = [`workload:release-agent:${job.sub}`, ...four];
    expect(claimsOf(body.access_token).act).toEqual(chain(act));
    expect((await lastRecord(t, 'token.exchange')).principal.act).toEqual(act);
    expect((await t.call(body.access_token, 'GET', '/v1/requests')).status).toBe(200);
    for (const wrong of [chain(['e', ...four]), { sub: 'b', act: 'a' }, { sub: '' }, [], 'a', null]) {
      expect((await exchangeAsAgent(t, await idToken({ may_act: job, act: wrong }))).status).toBe(400);
    }
  });

  it('that names an agent is no credential of the person, so that the agent cannot use it as one', async () => {
    for (const claims of [{ may_act: job }, { act: job }]) {
      expect((await t.call(await idToken(claims), 'GET', '/v1/requests')).status).toBe(401);
    }
  });
});

describe('what is issued to an agent', () => {
  it('is never more than the rule and the person allow, whatever is asked for', async () => {
    const some = fc.subarray(GRANTED, { minLength: 1 });
    const asked = fc.option(fc.subarray([...GRANTED, 'request.approve', 'request.apply']), {
      nil: undefined,
    });
    await fc.assert(
      fc.asyncProperty(some, asked, async (operations, scope) => {
        const delegation = await delegationToken(t, 'dana', { operations });
        const { status, body } = await exchangeAsAgent(t, delegation, {
          ...(scope === undefined ? {} : { scope: scope.join(' ') }),
        });
        // An empty parameter is none. RFC 6749 section 3.1
        const wanted = scope === undefined || scope.length === 0 ? operations : scope;
        if (wanted.every((operation) => operations.includes(operation))) {
          expect(status).toBe(200);
          expect(new Set(body.scope.split(' '))).toEqual(new Set(wanted));
          expect(claimsOf(body.access_token).scope).toBe(body.scope);
        } else {
          expect([status, body.error]).toEqual([400, 'invalid_scope']);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('lives no longer than any token that was shown, than the rule and than policy', async () => {
    const life = fc.integer({ min: 1, max: 700 });
    await fc.assert(
      fc.asyncProperty(life, life, async (delegationS, actorS) => {
        const now = Math.floor(t.clock() / 1000);
        const delegation = await delegationToken(t, 'dana', { expires_in_s: delegationS });
        const actor_token = await jobToken(t, 'release-agent', { exp: now + actorS });
        const { body } = await exchangeAsAgent(t, delegation, { actor_token });
        expect(body.expires_in).toBe(Math.min(300, delegationS, actorS));
        expect(claimsOf(body.access_token).exp).toBe(now + body.expires_in);
      }),
      { numRuns: 40 },
    );
  });

  it('reads no flags as an application, even where the rule says so', async () => {
    const open = await startAgentBroker({ grant: { audiences: ['control', 'data:staging'] } });
    const answer = await exchangeAsAgent(open, await delegationToken(open), { audience: 'data:staging' });
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_target']);
    await open.close();
  });

  it('has to carry the person whole: with too many groups it is refused, and the agent is told', async () => {
    const groups = Array.from({ length: 150 }, (_, place) => `a-group-${place}`.padEnd(70, '-'));
    const { status, body } = await exchangeAsAgent(t, await idToken({ may_act: job, groups }));
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(body.error_description).toMatch(/do not fit into a token/);
  });

  it('is bound to a key where the rule demands it', async () => {
    const strict = await startAgentBroker({ grant: { require_dpop: true } });
    const { body } = await exchangeAsAgent(strict, await delegationToken(strict));
    expect(body.error).toBe('invalid_dpop_proof');
    await strict.close();
  });
});
