import { describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import { startTestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { countRows } from '../support/flags.ts';
import { INPUTS } from '../support/inputs.ts';

/** A policy whose whole answer is `answer`, or none when it is undefined. */
async function policyThatAnswers(answer: unknown): Promise<Policy> {
  const archive = await rebundle(await readFixtureBundle('echo'), (data) => ({
    ...(data as object),
    answer,
  }));
  return createPolicy(await readBundle(archive), { inputs: INPUTS });
}

const person: PolicyInput['principal'] = {
  id: 'person:demo:dana',
  kind: 'person',
  person: 'dana',
  issuer: 'https://idp.example',
  groups: [],
  claims: {},
  auth: { level: 1, acr: null, amr: [], auth_time_ms: 0 },
  token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
};

const question: Question = {
  operation: 'flag.read',
  principal: person,
  environment: { key: 'production', kind: 'live' },
  namespace: null,
  request: null,
  approvals: [],
  rejections: [],
  emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
};

const allow = { effect: 'allow', reasons: [{ code: 'ok', detail: 'fine' }], obligations: [], limits: {} };

describe('a policy without an answer', () => {
  it('denies, and says that it has none', async () => {
    const decision = (await policyThatAnswers(undefined)).decide(question, 0);
    expect(decision).toMatchObject({
      effect: 'deny',
      reasons: [{ code: 'policy_undefined' }],
      obligations: [],
    });
  });
});

describe('a policy with an answer of another shape', () => {
  it.each([
    null,
    true,
    'allow',
    1,
    [],
    [allow],
    {},
    { allow: true },
    { effect: 'allow' },
    { ...allow, effect: true },
    { ...allow, effect: 'ALLOW' },
    { ...allow, effect: ['allow'] },
    { ...allow, effect: 'permit' },
    { ...allow, reasons: null },
    { ...allow, reasons: ['ok'] },
    { ...allow, reasons: [{ code: '', detail: '' }] },
    { ...allow, reasons: [{ code: 'x', detail: 'y'.repeat(2001) }] },
    { ...allow, reasons: Array.from({ length: 101 }, () => allow.reasons[0]) },
    { ...allow, obligations: {} },
    { ...allow, obligations: [{ kind: 'approval', role: 'x', count: 0 }] },
    { ...allow, obligations: [{ kind: 'bribe' }] },
    { ...allow, obligations: [{ kind: 'window' }] },
    { ...allow, limits: { request_ttl_s: 'long' } },
    { ...allow, limits: [] },
    { ...allow, extra: 1 },
  ])('denies: %j', async (answer) => {
    const decision = (await policyThatAnswers(answer)).decide(question, 0);
    expect(decision).toMatchObject({
      effect: 'deny',
      reasons: [{ code: 'policy_malformed' }],
      obligations: [],
      limits: {},
    });
  });

  it('allows when the shape is right, so that the cases above test what they say', async () => {
    expect((await policyThatAnswers(allow)).decide(question, 0)).toMatchObject(allow);
  });
});

describe('a question that lacks a fact', () => {
  it.each([
    ['no principal', { principal: undefined }],
    ['a principal without a kind', { principal: { ...person, kind: undefined } }],
    ['an unknown operation', { operation: 'flag.delete' }],
    ['a frozen that is no boolean', { emergency: { ...question.emergency, frozen: 'false' } }],
    ['a fact that nobody knows', { vip: true }],
    ['an environment without a kind', { environment: { key: 'production' } }],
  ])('is denied before the policy sees it: %s', async (_name, change) => {
    const policy = await policyThatAnswers(allow);
    const decision = policy.decide({ ...question, ...change } as Question, 0);
    expect(decision).toMatchObject({ effect: 'deny', reasons: [{ code: 'missing_fact' }] });
    expect(policy.replay(decision.input_json, decision.versions).effect).toBe('deny');
  });

  it('is denied with its own reason when the engine has no room for it', async () => {
    const policy = await policyThatAnswers(allow);
    const claims = Object.fromEntries(
      Array.from({ length: 40 }, (_, place) => [`c${place}`, 'x'.repeat(1_000_000)]),
    );
    const decision = policy.decide({ ...question, principal: { ...person, claims } }, 0);
    expect(decision).toMatchObject({ effect: 'deny', reasons: [{ code: 'policy_error' }] });
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('and is too large does not spoil the next one', async () => {
    const policy = await policyThatAnswers(allow);
    const claims = { big: 'x'.repeat(40_000_000) };
    expect(policy.decide({ ...question, principal: { ...person, claims } }, 0).effect).toBe('deny');
    await expect.poll(() => policy.decide(question, 0).effect).toBe('allow');
  });
});

describe('a broker whose policy has no answer', () => {
  it('starts, denies everything, and records each denial', async () => {
    const t = await startTestBroker({ archive: await readFixtureBundle('echo') });
    const before = await countRows(t);
    const body = {
      environment: 'production',
      reason: 'x',
      changes: [
        {
          action: 'create',
          flag: 'x',
          definition: {
            namespace: 'payments',
            kind: 'release',
            tier: 'informational',
            owner: 'a',
            purpose: 'b',
            variants: { on: true, off: false },
            retirement: 'c',
          },
        },
      ],
    };
    const answers = [
      await t.call('dana', 'POST', '/v1/requests', body),
      await t.call('dana', 'GET', '/v1/flags?environment=production'),
      await t.call('riley+mfa', 'POST', '/v1/break-glass', { incident: 'I', reason: 'x' }),
      await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', incident: 'I', reason: 'x' }),
      await t.call('avery', 'GET', '/v1/decisions'),
    ];
    for (const { status, body } of answers) {
      expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
      expect(body.reasons).toMatchObject([{ code: 'policy_undefined' }]);
    }
    expect(await countRows(t)).toEqual({
      ...before,
      records: (before.records ?? 0) + answers.length,
      details: (before.details ?? 0) + answers.length,
    });
    await t.close();
  });
});
