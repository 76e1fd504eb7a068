import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { approve, creation, propose } from '../support/flags.ts';
import { claimsOf, delegationToken, exchangeAsAgent, jobToken, startAgentBroker } from './agents.ts';

/*
 * Under a policy that allows everybody everything: what no agent may do, whatever a trust rule grants it.
 */

let t: TestBroker;
let agent: string;

const EVERYTHING = [
  'request.propose',
  'request.approve',
  'request.reject',
  'freeze.engage',
  'breakglass.open',
  'agent.delegate',
  'revocation.add',
  'key.rotate',
];

beforeAll(async () => {
  t = await startAgentBroker({
    archive: await readFixtureBundle('anybody'),
    grant: { operations: EVERYTHING, environments: ['production'] },
  });
  const { body } = await exchangeAsAgent(t, await delegationToken(t, 'riley'));
  agent = body.access_token;
});
afterAll(() => t.close());

it('a rule of one kind gives nothing to the other, even where policy would not mind', async () => {
  expect((await exchange(t.url, await jobToken(t, 'plain-job'))).status).toBe(200);
  expect((await exchange(t.url, await jobToken(t))).status).toBe(400);
  const job = await jobToken(t, 'plain-job');
  for (const may_act of [{ sub: claimsOf(job).sub }, { iss: t.url, sub: 'plain-job' }]) {
    const sponsor = await t.people.idToken('riley', { claims: { may_act } });
    expect((await exchangeAsAgent(t, sponsor, { actor_token: job })).status).toBe(400);
  }
});

describe('an agent, under a policy that allows it everything', () => {
  it('proposes', async () => {
    const { status, body } = await propose(t, [creation('proposed')], {}, agent);
    expect(status).toBe(201);
    // Its sponsor is an author, and cannot approve under this policy either.
    const groups = { claims: { groups: ['anybody'] } };
    const sponsor = await approve(t, await t.people.idToken('riley', groups), body);
    expect(sponsor.body.reasons).toEqual([expect.objectContaining({ code: 'self_approval' })]);
    expect((await approve(t, await t.people.idToken('casey', groups), body)).body.state).toBe('applied');
  });

  it('proposes what neither its sponsor nor whoever started or restarted its job approves', async () => {
    const sponsor = await t.people.idToken('riley', {
      claims: { may_act: { iss: t.url, sub: 'rerun-agent' } },
    });
    const actor_token = await t.ci.token({
      repository_id: '456794',
      run_attempt: '2',
      actor_id: '5001',
      triggering_actor_id: '5002',
    });
    const { body: issued } = await exchangeAsAgent(t, sponsor, { actor_token });
    const { body } = await propose(t, [creation('restarted')], {}, issued.access_token);
    expect(body.authors).toEqual([expect.any(String), 'github:5001', 'github:5002']);
    for (const who of ['riley', 'dana', 'alex']) {
      const author = await t.people.idToken(who, { claims: { groups: ['anybody'] } });
      const { body: refusal } = await approve(t, author, body);
      expect(refusal.reasons, who).toEqual([expect.objectContaining({ code: 'self_approval' })]);
    }
  });

  it.each([
    ['approves', 'approve'],
    ['rejects', 'reject'],
  ])('never %s', async (_name, word) => {
    const { body } = await propose(t, [creation(`by-dana-${word}`)]);
    const answer = await t.call(agent, 'POST', `/v1/requests/${body.id}/${word}`, { digest: body.digest });
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'not_a_person' }] } });
  });

  it.each([
    ['freezes', '/v1/freezes', { scope: 'all', incident: 'INC-1', reason: 'x' }],
    ['opens break-glass', '/v1/break-glass', { incident: 'INC-1', reason: 'x' }],
    ['delegates', '/v1/delegations', { agent: 'release-agent' }],
    ['revokes', '/v1/revocations', { kind: 'class', value: 'all', incident: 'INC-1', reason: 'x' }],
    ['rotates keys', '/v1/keys/rotate', undefined],
  ])('never %s', async (_name, path, body) => {
    const answer = await t.call(agent, 'POST', path, body);
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'not_a_person' }] } });
  });
});
