import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { activateElsewhere, withConfig } from '../support/activation.ts';
import type { Reply, TestBroker } from '../support/broker.ts';
import { approve, createFlag, creation, propose } from '../support/flags.ts';
import { agentToken, claimsOf, exchangeAsAgent, jobToken, lastRecord, startAgentBroker } from './agents.ts';

let t: TestBroker;
let agent: string;

beforeAll(async () => {
  t = await startAgentBroker();
  await createFlag(t, 'ledger', { tier: 'sensitive' });
  await createFlag(t, 'payouts', { tier: 'sensitive' });
  agent = await agentToken(t);
});
afterAll(() => t.close());

const STAGING = { environment: 'staging' };

/** What the agent proposes in staging, where its rule reaches. */
const proposeAsAgent = (changes: unknown[], fields: object = {}, token = agent): Promise<Reply> =>
  propose(t, changes, { ...STAGING, ...fields }, token);

/** Reason codes of a refusal by policy. */
function reasonsOf({ status, body }: Reply): string[] {
  expect([status, body.code]).toEqual([403, 'policy_denied']);
  return body.reasons.map(({ code }: { code: string }) => code);
}

describe('an agent', () => {
  it('proposes where its rule and its sponsor reach, and the record names both', async () => {
    const { status, body } = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }]);
    expect(status).toBe(201);
    const { sub, jti } = claimsOf(agent);
    expect(body.proposer).toMatchObject({ id: sub, kind: 'agent', person: 'emp-1001' });
    // Dana started its job, too; names are compared under the policy's aliases.
    expect(body.authors).toEqual(['emp-1001', 'github:5001']);
    expect(await lastRecord(t, 'request.propose')).toMatchObject({
      principal: {
        id: sub,
        kind: 'agent',
        person: 'emp-1001',
        act: [sub.replace(/^agent:/, 'workload:')],
      },
      correlation: {
        ci_run: '987654321',
        token: `jti:${jti}`,
        origins: [expect.any(String), expect.any(String), expect.any(String)],
      },
    });
  });

  it('has whoever started its job as an author, who cannot approve: they chose what it proposes', async () => {
    const sponsor = await t.people.idToken('dana', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const actor_token = await jobToken(t, 'release-agent', { actor_id: '5002' });
    const { body: issued } = await exchangeAsAgent(t, sponsor, { actor_token });
    const { body } = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }], {}, issued.access_token);
    expect(body.authors).toEqual(['emp-1001', 'github:5002']);
    expect(reasonsOf(await approve(t, 'alex', body))).toContain('self_approval');
    expect(
      (await t.call('alex', 'POST', `/v1/requests/${body.id}/reject`, { digest: body.digest })).status,
    ).toBe(403);
  });

  it('has them as an author of what it edits, too', async () => {
    const { body } = await proposeAsAgent([{ action: 'enable', flag: 'payouts' }], { apply: 'manual' });
    const actor_token = await jobToken(t, 'release-agent', { actor_id: '5002' });
    const sponsor = await t.people.idToken('dana', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const { body: issued } = await exchangeAsAgent(t, sponsor, { actor_token });
    const path = `/v1/requests/${body.id}`;
    const etag = (await t.call(agent, 'GET', path)).headers.get('etag') ?? '';
    const edited = await t.call(
      issued.access_token,
      'PATCH',
      path,
      { reason: 'by another start' },
      { 'if-match': etag },
    );
    expect(edited.body.authors).toContain('github:5002');
    expect((await t.call(agent, 'POST', `${path}/withdraw`)).status).toBe(200);
  });

  it('is denied where it is not known who started its job', async () => {
    const actor_token = await jobToken(t, 'release-agent', { actor_id: '9999' });
    const sponsor = await t.people.idToken('dana', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const { body: issued } = await exchangeAsAgent(t, sponsor, { actor_token });
    const answer = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }], {}, issued.access_token);
    expect(reasonsOf(answer)).toContain('unknown_person');
  });

  it('gets no token in a job that was started again: its first person is not whoever did that', async () => {
    const sponsor = await t.people.idToken('dana', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const actor_token = await jobToken(t, 'release-agent', { run_attempt: '2' });
    expect((await exchangeAsAgent(t, sponsor, { actor_token })).status).toBe(400);
  });

  it('is denied outside of its rule: another environment, another namespace, another operation', async () => {
    const enable = [{ action: 'enable', flag: 'ledger' }];
    expect(reasonsOf(await proposeAsAgent(enable, { environment: 'production' }))).toContain(
      'trust_rule_place',
    );
    // A definition reaches every environment.
    const elsewhere = creation('elsewhere', { namespace: 'billing' });
    expect(reasonsOf(await proposeAsAgent([elsewhere]))).toContain('trust_rule_place');
    const { body } = await proposeAsAgent(enable, { apply: 'manual' });
    const apply = await t.call(agent, 'POST', `/v1/requests/${body.id}/apply`);
    expect(reasonsOf(apply)).toEqual(expect.arrayContaining(['token_scope', 'trust_rule_operation']));
  });

  it('is denied what its delegation leaves out, though its rule grants it', async () => {
    const reader = await agentToken(t, 'dana', { operations: ['request.read', 'flag.read'] });
    expect((await t.call(reader, 'GET', '/v1/requests')).status).toBe(200);
    const answer = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }], {}, reader);
    expect(reasonsOf(answer)).toContain('token_scope');
  });

  it('has nothing of its own where its sponsor has no role, even if a binding names its rule', async () => {
    const alex = await t.people.idToken('alex', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const { body } = await exchangeAsAgent(t, alex);
    const answer = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }], {}, body.access_token);
    expect(reasonsOf(answer)).toContain('role_missing');
  });

  it('withdraws and edits its own request', async () => {
    const { body } = await proposeAsAgent([{ action: 'enable', flag: 'payouts' }], { apply: 'manual' });
    const path = `/v1/requests/${body.id}`;
    const etag = (await t.call(agent, 'GET', path)).headers.get('etag') ?? '';
    const edited = await t.call(agent, 'PATCH', path, { reason: 'better said' }, { 'if-match': etag });
    expect(edited.status).toBe(200);
    expect((await t.call(agent, 'POST', `${path}/withdraw`)).body.state).toBe('withdrawn');
  });

  it.each([
    ['approves', 'approve', (digest: string) => ({ digest })],
    ['rejects', 'reject', (digest: string) => ({ digest, comment: 'no' })],
  ])('never %s, not even what somebody else wrote', async (_name, word, body) => {
    const { body: request } = await propose(t, [creation(`by-dana-${word}`)], {
      environment: 'staging',
    });
    const sam = await t.people.idToken('sam', {
      claims: { may_act: { iss: t.url, sub: 'release-agent' } },
    });
    const answered = await exchangeAsAgent(t, sam);
    const path = `/v1/requests/${request.id}/${word}`;
    const answer = await t.call(answered.body.access_token, 'POST', path, body(request.digest));
    expect(reasonsOf(answer)).toContain('not_a_person');
  });

  it.each([
    ['freezes', '/v1/freezes', { scope: 'all', incident: 'INC-1', reason: 'x' }],
    ['opens break-glass', '/v1/break-glass', { incident: 'INC-1', reason: 'x' }],
    ['delegates', '/v1/delegations', { agent: 'release-agent' }],
  ])('never %s, though its sponsor may', async (_name, path, body) => {
    const sponsor = await t.people.idToken('riley', {
      mfa: true,
      claims: {
        groups: ['responders', 'payments-developers'],
        may_act: { iss: t.url, sub: 'release-agent' },
      },
    });
    const { body: issued } = await exchangeAsAgent(t, sponsor);
    expect(reasonsOf(await t.call(issued.access_token, 'POST', path, body))).toContain('not_a_person');
  });
});

describe("an agent's request", () => {
  it('is not approved by its sponsor, under whichever account, and by another person it is', async () => {
    const { body } = await proposeAsAgent([{ action: 'enable', flag: 'ledger' }]);
    expect(body.proposer.kind).toBe('agent');
    const sponsor = await t.people.idToken('dana', {
      claims: { groups: ['payments-developers', 'payments-approvers'] },
    });
    for (const who of [sponsor, 'dana-alt']) {
      expect(reasonsOf(await approve(t, who, body))).toContain('self_approval');
    }
    expect((await approve(t, 'alex', body)).body).toMatchObject({ state: 'applied' });
  });

  it('waits where its sponsor has lost the role in the policy meanwhile, and so does every new one', async () => {
    const present = await readFile(join(t.folder, 'bundle.tar.gz'));
    const without = await withConfig(present, ({ role_bindings }) => {
      for (const groups of Object.values(role_bindings?.groups as Record<string, object>)) {
        Reflect.deleteProperty(groups, 'payments-developers');
      }
    });
    const activate = (archive: Buffer) => activateElsewhere(t.broker.store, archive, t.clock());
    const { body: early } = await proposeAsAgent([{ action: 'enable', flag: 'payouts' }]);
    await activate(without);
    expect((await approve(t, 'alex', early)).body).toMatchObject({
      state: 'pending',
      gates: [expect.objectContaining({ code: 'proposer_lost_role' })],
    });
    const late = await proposeAsAgent([
      { action: 'set_audience', flag: 'ledger', audience: { kind: 'all' } },
    ]);
    expect(reasonsOf(late)).toContain('unknown_principal');
    await activate(present);
    expect((await proposeAsAgent([{ action: 'enable', flag: 'payouts' }])).status).toBe(201);
  });
});
