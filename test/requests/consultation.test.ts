import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, creation, propose, TICKET } from '../support/flags.ts';

/*
 * Whoever chooses an organization needs its account-approver, also in two requests of which each one names nobody or
 * makes nothing less safe. acme and globex are represented by casey; globex is protected in these tests.
 */

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);

let t: TestBroker;

beforeAll(async () => {
  const archive = await rebundle(await readFile(SHIPPED), (data) => {
    const { config } = data as { config: object };
    return { config: { ...config, protected_organizations: { globex: 'by contract' } } };
  });
  t = await startTestBroker({ archive });
});

afterAll(() => t.close());

const rule = (attribute: string, operator: string, values: string[]) => ({
  name: 'chosen',
  when: [{ attribute, operator, values }],
  serve: { variant: 'on' },
});
const some = (...organizations: string[]) => ({ kind: 'some', organizations, users: [] });
const enable = (flag: string) => ({ action: 'enable', flag });
const audience =
  (...organizations: string[]) =>
  (flag: string) => ({
    action: 'set_audience',
    flag,
    audience: some(...organizations),
  });
const rollout = (fields: object) => (flag: string) => ({ action: 'set_rollout', flag, ...fields });
const only = (attribute: string, operator: string, values: string[]) =>
  rollout({ rules: [rule(attribute, operator, values)], default_variant: 'off' });

type Change = (flag: string) => object;

/** Ways in two requests: what exposes everybody or nobody by name, then what chooses, and who is asked for that. */
const SECOND: [string, Change[], Change, string[]][] = [
  ['all, then an audience', [enable], audience('acme'), ['acme']],
  ['all, then a rule for it', [enable], only('organization', 'in', ['acme']), ['acme']],
  [
    'a negation, then an audience',
    [only('organization', 'not_in', ['initech']), enable],
    audience('acme'),
    ['acme'],
  ],
  [
    'an attribute, then an audience',
    [only('email', 'ends_with', ['@acme.example']), enable],
    audience('acme'),
    ['acme'],
  ],
  [
    'a negation that names it, then an audience',
    [only('organization', 'not_in', ['acme']), enable, rollout({ rules: [], default_variant: 'on' })],
    audience('acme'),
    ['acme'],
  ],
  [
    'a rule that gives it nothing, then an audience',
    [
      rollout({ rules: [{ ...rule('organization', 'in', ['acme']), serve: { variant: 'off' } }] }),
      enable,
      rollout({ rules: [] }),
    ],
    audience('acme'),
    ['acme'],
  ],
  ['all, then an attribute', [enable], only('email', 'ends_with', ['@globex.example']), ['globex']],
  ['all, then a negation', [enable], only('organization', 'not_in', ['initech', 'acme']), ['globex']],
];

describe.each(['sensitive', 'high-risk'])('in tier %s, an organization that is chosen by', (tier) => {
  it.each(SECOND)('%s, is asked', async (way, first, second, asked) => {
    const flag = `${tier}-${SECOND.findIndex(([name]) => name === way)}`;
    await applyChanges(t, [creation(flag, { tier })]);
    for (const change of first) await applyChanges(t, [change(flag)]);
    const { body } = await propose(t, [second(flag)], { ticket: TICKET });
    expect(body.changes[0].facts).toMatchObject({ safe: true });
    expect(organizationsAsked(body)).toEqual(asked);
    const approved = await approve(t, 'alex+mfa', body);
    expect(approved.body.state).toBe('pending');
    expect((await approve(t, 'casey+mfa', approved.body)).body.state).toBe('applied');
  });
});

function organizationsAsked(request: { standing: { obligations: { organization?: string }[] } }): string[] {
  return request.standing.obligations.flatMap(({ organization }) => organization ?? []);
}

/** Ways to reach everybody, a protected organization among them, without naming it. */
const REACHING: [string, Change[], Change][] = [
  ['enabling for all', [], enable],
  [
    'a percentage',
    [audience('acme'), enable],
    (flag) => ({ action: 'set_audience', flag, audience: { kind: 'all' } }),
  ],
  ['a rule on an attribute', [rollout({ default_variant: 'off' }), enable], only('plan', 'in', ['gold'])],
  ['a negation', [rollout({ default_variant: 'off' }), enable], only('organization', 'not_in', ['initech'])],
  [
    'a lower tier',
    [audience('acme'), enable],
    (flag) => ({ action: 'update', flag, set: { tier: 'operational' } }),
  ],
  [
    'another value of a variant',
    [],
    (flag) => ({ action: 'update', flag, set: { variants: { on: 2, off: 0 } } }),
  ],
];

describe.each(['sensitive', 'high-risk'])(
  'in tier %s, a protected organization is asked before everybody is reached',
  (tier) => {
    it.each(REACHING)('by %s', async (way, first, reaching) => {
      const flag = `reach-${tier}-${REACHING.findIndex(([name]) => name === way)}`;
      await applyChanges(t, [
        creation(flag, { tier, variants: { on: 1, off: 0 }, safe_variant: 'off', default_variant: 'on' }),
      ]);
      for (const change of first) await applyChanges(t, [change(flag)]);
      const { body } = await propose(t, [reaching(flag)], { ticket: TICKET });
      expect(organizationsAsked(body)).toContain('globex');
    });
  },
);

describe('nobody is asked', () => {
  it('before switching off, or reaching fewer of everybody', async () => {
    const flag = 'asks-nobody';
    await applyChanges(t, [creation(flag, { tier: 'sensitive' })]);
    await applyChanges(t, [enable(flag)]);
    const half = {
      rollout: [
        { variant: 'on', percent: 50 },
        { variant: 'off', percent: 50 },
      ],
    };
    for (const change of [rollout(half)(flag), { action: 'disable', flag }]) {
      const { body } = await propose(t, [change], { ticket: TICKET });
      expect(body.changes[0].facts).toMatchObject({ safe: true });
      expect(organizationsAsked(body)).toEqual([]);
      await approve(t, 'alex', body);
    }
  });

  it('again for an organization that was named and agreed, and is still exposed', async () => {
    const flag = 'agreed';
    await applyChanges(t, [creation(flag, { tier: 'sensitive' })]);
    await applyChanges(t, [audience('acme', 'globex')(flag)]);
    await applyChanges(t, [enable(flag)]);
    const { body } = await propose(t, [audience('acme')(flag)]);
    expect(organizationsAsked(body)).toEqual([]);
  });
});

it('one vote clears all organizations that its giver speaks for', async () => {
  const flag = 'both';
  await applyChanges(t, [creation(flag, { tier: 'sensitive' })]);
  await applyChanges(t, [enable(flag)]);
  const { body } = await propose(t, [audience('acme', 'globex')(flag)], { ticket: TICKET });
  expect(organizationsAsked(body)).toEqual(['acme', 'globex']);
  const approved = await approve(t, 'casey', body);
  expect(organizationsAsked(approved.body)).toEqual([]);
});

it('an organization is asked in the same request that narrows to it, not under a freeze by break-glass', async () => {
  const flag = 'at-once';
  await applyChanges(t, [creation(flag, { tier: 'sensitive' })]);
  const { body } = await propose(t, [enable(flag), audience('acme')(flag)], { ticket: TICKET });
  expect(organizationsAsked(body)).toContain('acme');
  await applyChanges(t, [enable(flag)]);
  const incident = { incident: 'INC-1', reason: 'x' };
  const session = (await t.call('riley+mfa', 'POST', '/v1/break-glass', incident)).body;
  await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', ...incident });
  const held = await propose(t, [audience('acme')(flag)], { ticket: TICKET });
  expect(held.body).toMatchObject({ state: 'pending' });
  const made = await t.call('riley', 'POST', `/v1/break-glass/${session.id}/apply`, {
    environment: 'production',
    changes: [audience('acme')(flag)],
  });
  expect(made.body.state).toBe('applied');
});
