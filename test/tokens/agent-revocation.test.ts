import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { revoke } from '../revocation/support.ts';
import type { TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { claimsOf, delegate, exchangeAsAgent, jobToken, startAgentBroker } from './agents.ts';

/*
 * An agent's token stands on three others: the person's, the delegation, and the agent's own. What revokes one of them,
 * or who showed it, revokes the agent's token, and nothing new comes of what is left.
 */

let t: TestBroker;
/** What stands behind one agent's token. */
let given: { person: string; delegation: string; actor: string; agent: string };

beforeAll(async () => {
  t = await startAgentBroker();
  await createFlag(t, 'ledger', { tier: 'sensitive' });
});
afterAll(() => t.close());

beforeEach(async () => {
  // Credentials of an earlier test are older than this.
  t.clock.advance(61_000);
  const person = await t.people.idToken('dana', { claims: { sid: `sid-${t.clock()}` } });
  const delegation = (await delegate(t, person)).body.delegation_token;
  const actor = await jobToken(t);
  const { body } = await exchangeAsAgent(t, delegation, { actor_token: actor });
  given = { person, delegation, actor, agent: body.access_token };
  expect(await statuses()).toEqual({ agent: 200, exchange: 200 });
});

/** Whether the agent's token still counts, and whether it gets another one. */
async function statuses(): Promise<{ agent: number; exchange: number }> {
  const agent = await t.call(given.agent, 'GET', '/v1/requests');
  const exchanged = await exchangeAsAgent(t, given.delegation);
  return { agent: agent.status, exchange: exchanged.status };
}

const GONE = { agent: 401, exchange: 400 };

async function surrender(token: string): Promise<void> {
  const body = new URLSearchParams({ token });
  expect((await fetch(`${t.url}/oauth/revoke`, { method: 'POST', body })).status).toBe(200);
}

describe('an agent', () => {
  it('is stopped when its sponsor signs out, and so gives up the token that was signed in with', async () => {
    await surrender(given.person);
    expect(await statuses()).toEqual(GONE);
  });

  it('may give up its own token, and gets another by what it was given', async () => {
    await surrender(given.agent);
    expect(await statuses()).toEqual({ agent: 401, exchange: 200 });
  });

  it.each([
    ["the person's account", 'subject', () => 'person:demo:dana'],
    ['the person', 'subject', () => 'EMP-1001'],
    [
      'the session at the identity provider',
      'session',
      () => `${t.people.issuer}#${claimsOf(given.person).sid}`,
    ],
    ["the person's token", 'token', () => `${t.people.issuer}#jti:${claimsOf(given.person).jti}`],
    ['the delegation', 'token', () => `${t.url}#jti:${claimsOf(given.delegation).jti}`],
    ['the identity provider', 'issuer', () => t.people.issuer],
    ['the platform', 'issuer', () => t.ci.issuer],
    ['the trust rule', 'trust_rule', () => 'release-agent'],
    ['the agent', 'subject', () => claimsOf(given.agent).sub],
    ['the agent as the workload that it is', 'subject', () => claimsOf(given.agent).act.sub],
    ['all agents', 'class', () => 'agent'],
    ['all persons', 'class', () => 'person'],
    ['all workloads', 'class', () => 'workload'],
  ])('is stopped with %s', async (_name, kind, value) => {
    // What riley shows must be newer than what is revoked.
    const before = t.clock();
    t.clock.advance(61_000);
    const fields = kind === 'token' || kind === 'session' ? {} : { issued_before: before + 1000 };
    const { status, body } = await revoke(t, kind, value(), fields);
    expect([status, body.detail]).toEqual([201, undefined]);
    expect((await t.call(given.agent, 'GET', '/v1/requests')).status).toBe(401);
  });

  it.each([
    ['the account', 'subject', 'person:demo:dana'],
    ['the person', 'subject', 'emp-1001'],
    ['all persons', 'class', 'person'],
  ])(
    'gets nothing by a delegation that is older than what was said against %s',
    async (_name, kind, value) => {
      const issued_before = t.clock() + 1000;
      t.clock.advance(61_000);
      expect((await revoke(t, kind, value, { issued_before })).status).toBe(201);
      expect(await statuses()).toEqual(GONE);
      // Whoever signs in again delegates again.
      const fresh = await delegate(t, await t.people.idToken('dana'));
      expect((await exchangeAsAgent(t, fresh.body.delegation_token)).status).toBe(200);
    },
  );

  it('is stopped in the middle of a write', async () => {
    const [, answer] = await Promise.all([
      surrender(given.person),
      ...Array.from({ length: 20 }, () =>
        propose(t, [{ action: 'enable', flag: 'ledger' }], { environment: 'staging' }, given.agent),
      ),
    ]);
    expect([201, 401]).toContain(answer?.status);
    expect(await statuses()).toEqual(GONE);
  });

  it('leaves requests that wait while its sponsor is revoked', async () => {
    const fields = { environment: 'staging' };
    const { body } = await propose(t, [{ action: 'enable', flag: 'ledger' }], fields, given.agent);
    expect(body.proposer.kind).toBe('agent');
    const revoked = await revoke(t, 'subject', 'emp-1001');
    expect(revoked.status).toBe(201);
    const approved = await t.call('alex', 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
    expect(approved.body.state).not.toBe('applied');
    expect(approved.body.gates).toContainEqual(expect.objectContaining({ code: 'parked' }));
  });
});
