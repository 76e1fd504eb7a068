import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data) => {
      const edited = structuredClone(data) as { config: { trust_rules: Record<string, RuleData> } };
      const { trust_rules } = edited.config;
      const deploy = trust_rules['payments-deploy'];
      if (deploy === undefined) throw new Error('the shipped rule is missing');
      trust_rules.bound = {
        ...deploy,
        claims: { ...deploy.claims, repository_id: '500' },
        grant: { ...deploy.grant, require_dpop: true },
      };
      return edited;
    },
  });
});
afterAll(() => t.close());
beforeEach(() => t.clock.advance(60_000));

interface RuleData {
  claims: object;
  grant: object;
}

const test = (token: string, more: object = {}, who: string | null = 'morgan') =>
  t.call(who, 'POST', '/v1/trust/test', { token, ...more });

async function decisions(operation: string) {
  const { body } = await t.call('avery', 'GET', '/v1/decisions?limit=200');
  return body.items.filter((record: { operation: string }) => record.operation === operation);
}

describe('a test of a token', () => {
  it('is for those whom policy lets, and refused to others before any rule or key is looked at', async () => {
    const reads = t.ci.keyReads();
    const token = await t.ci.token();
    for (const who of ['dana', 'alex+mfa', 'riley+mfa']) {
      const reply = await test(token, {}, who);
      expect([reply.status, reply.body.code]).toEqual([403, 'policy_denied']);
      expect(JSON.stringify(reply.body)).not.toContain('payments-deploy');
    }
    expect((await test(token, {}, null)).status).toBe(401);
    expect(t.ci.keyReads()).toBe(reads);
    expect((await test(token, {}, 'avery')).status).toBe(200);
  });

  it('is no way for a job to learn why it was refused', async () => {
    const job = await t.workloadToken();
    expect((await test(await t.ci.token(), {}, job)).status).toBe(403);
  });

  it('is recorded, allowed and denied, without the token', async () => {
    const before = (await decisions('trust.test')).length;
    const token = await t.ci.token();
    await test(token);
    await test(token, {}, 'dana');
    const records = await decisions('trust.test');
    expect(records.length - before).toBe(2);
    const text = JSON.stringify(records);
    for (const part of token.split('.')) expect(text).not.toContain(part);
    expect(text).not.toContain(createHash('sha256').update(token).digest('hex'));
  });

  it('issues nothing and claims nothing: the token can be exchanged afterwards, once', async () => {
    const token = await t.ci.token();
    const before = (await decisions('token.exchange')).length;
    for (let times = 0; times < 3; times += 1) {
      const { body } = await test(token);
      expect(body.would_issue.rule).toBe('payments-deploy');
      expect(JSON.stringify(body)).not.toMatch(/access_token|eyJ/);
    }
    expect((await decisions('token.exchange')).length).toBe(before);
    expect((await exchange(t.url, token)).status).toBe(200);
    expect((await test(token)).body).toMatchObject({ would_issue: null, refusal: { reason: 'replayed' } });
  });

  it('says of every rule what the token misses, what was wanted and what there is', async () => {
    const { body } = await test(await t.ci.token({ ref: 'refs/heads/x', event_name: 'pull_request' }));
    expect(body.refusal.reason).toBe('no_trust_rule');
    const misses = Object.fromEntries(
      body.rules.map(({ rule, misses }: { rule: string; misses: object[] }) => [rule, misses]),
    );
    const ofDeploy = misses['payments-deploy'] as { claim: string }[];
    expect(ofDeploy.toSorted((one, other) => one.claim.localeCompare(other.claim))).toEqual([
      { claim: 'event_name', wanted: ['push', 'workflow_dispatch'], has: 'pull_request' },
      { claim: 'ref', wanted: ['refs/heads/main'], has: 'refs/heads/x' },
    ]);
    expect(misses['checkout-service']).toContainEqual({
      claim: 'repository_id',
      wanted: ['456790'],
      has: '456789',
    });
    expect(Object.keys(misses)).toEqual(Object.keys(misses).toSorted());
  });

  it('says what an audience or a scope that is not granted is refused with', async () => {
    const token = await t.ci.token();
    expect((await test(token, { audience: 'audit' })).body.refusal.reason).toBe('invalid_target');
    expect((await test(token, { scope: 'policy.activate' })).body.refusal.reason).toBe('invalid_scope');
    const { would_issue } = (await test(token, { scope: 'flag.read' })).body;
    expect(would_issue).toMatchObject({ operations: ['flag.read'], person: 'github:5001' });
  });

  it('says whether a bound key is wanted, and what an agent needs besides', async () => {
    const bound = (await test(await t.ci.token({ repository_id: '500' }))).body;
    expect(bound.would_issue).toMatchObject({ rule: 'bound', require_dpop: true });
    const agent = (await test(await t.ci.token({ repository_id: '456791' }))).body;
    expect(agent.would_issue).toMatchObject({ rule: 'release-agent', kind: 'agent', person: null });
    expect(agent.would_issue.started_by).toEqual(['github:5001']);
    expect(agent.would_issue.principal).toMatch(/^agent:release-agent:/);
  });

  it('lives as long as the token does, where that is shortest', async () => {
    const token = await t.ci.token({ exp: Math.floor(t.clock() / 1000) + 90 });
    expect((await test(token)).body.would_issue.token_ttl_s).toBe(90);
  });

  it.each<[string, (token: string) => string, string]>([
    ['is no token', () => 'hello', 'not_three_segments'],
    ['is cut off', (token) => token.slice(0, -1), 'not_canonical_base64url'],
    [
      'is signed by nobody',
      (token) => `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(342)}`,
      'signature_invalid',
    ],
    [
      'says none',
      (token) => `${segment({ alg: 'none' })}.${token.split('.')[1]}.AAAA`,
      'algorithm_not_accepted',
    ],
    [
      'brings its key',
      (token) => `${segment({ alg: 'RS256', jwk: {} })}.${token.split('.')[1]}.AAAA`,
      'header_member_not_accepted',
    ],
    ['is too long', () => 'x'.repeat(16_385), 'oversize'],
    [
      'has a member twice',
      () => `${segment({ alg: 'RS256' })}.${segment('{"iss":"a","iss":"b"}')}.AAAA`,
      'duplicate_member',
    ],
    ['has claims that are none', () => `${segment({ alg: 'RS256' })}.${segment('[]')}.AAAA`, 'not_json'],
  ])('names the reason for one that %s', async (_name, change, reason) => {
    const { status, body } = await test(change(await t.ci.token()));
    expect(status).toBe(200);
    expect(body).toMatchObject({ signature: 'refused', would_issue: null, refusal: { reason } });
    expect(body.refusal.detail.length).toBeGreaterThan(20);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['of an issuer that no rule names', { iss: 'https://evil.example' }, 'issuer_not_accepted'],
    ['of no issuer', { iss: undefined }, 'issuer_not_accepted'],
    ['of before', { exp: 1 }, 'expired'],
    ['of tomorrow', { iat: 4_000_000_000, exp: 4_000_000_300 }, 'claim_not_accepted'],
    ['with an odd id', { jti: '' }, 'claim_shape'],
    ['with too many claims', { sha: 'x'.repeat(4500) }, 'claims_too_large'],
  ])('names the reason for one %s', async (_name, claims, reason) => {
    const { body } = await test(await t.ci.token(claims));
    expect(body).toMatchObject({ would_issue: null, refusal: { reason } });
  });

  it('does not take what it cannot read for a token', async () => {
    for (const body of [
      {},
      { token: '' },
      { token: 7 },
      { token: 'x', subject_token: 'y' },
      { token: 'x', scope: '' },
    ]) {
      const reply = await t.call('morgan', 'POST', '/v1/trust/test', body);
      expect([reply.status, reply.body.code]).toEqual([400, 'invalid_request']);
    }
  });
});

function segment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}
