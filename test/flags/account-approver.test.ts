import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, creation, propose, TICKET } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(async () => {
  await t.close();
});

const forAcme = (variant: string) => ({
  name: 'acme',
  when: [{ attribute: 'organization', operator: 'equals', values: ['acme'] }],
  serve: { variant },
});
const onlyAcme = { kind: 'some', organizations: ['acme'], users: [] };
const variants = { none: 0, low: 1, high: 10 };
const definition = { tier: 'sensitive', variants, safe_variant: 'none', default_variant: 'low' };

/** Ways to change what acme is served by a sensitive flag: what makes the flag, then the change, and where. */
const WAYS: [string, (flag: string) => Record<string, unknown>[], (flag: string) => object, string][] = [
  [
    'a rule that serves it another variant',
    (flag) => [
      { action: 'set_rollout', flag, rules: [forAcme('none')] },
      { action: 'enable', flag },
    ],
    (flag) => ({ action: 'set_rollout', flag, rules: [forAcme('high')] }),
    'production',
  ],
  [
    'another default variant',
    (flag) => [
      { action: 'set_audience', flag, audience: onlyAcme },
      { action: 'enable', flag },
    ],
    (flag) => ({ action: 'set_rollout', flag, default_variant: 'high' }),
    'production',
  ],
  [
    'another value of its variant, proposed elsewhere',
    (flag) => [
      { action: 'set_audience', flag, audience: onlyAcme },
      { action: 'enable', flag },
    ],
    (flag) => ({ action: 'update', flag, set: { variants: { ...variants, low: 1000 } } }),
    'development',
  ],
  [
    'another safe variant, while the flag is off',
    (flag) => [{ action: 'set_audience', flag, audience: onlyAcme }],
    (flag) => ({ action: 'update', flag, set: { safe_variant: 'high' } }),
    'development',
  ],
  [
    'a tier under which nobody would be asked',
    (flag) => [
      { action: 'set_audience', flag, audience: onlyAcme },
      { action: 'enable', flag },
    ],
    (flag) => ({ action: 'update', flag, set: { tier: 'informational' } }),
    'staging',
  ],
];

describe.each(WAYS)('an organization is not given %s', (what, making, change, environment) => {
  it('before its account-approver agrees', async () => {
    const flag = `way-${WAYS.findIndex(([way]) => way === what)}`;
    await applyChanges(t, [creation(flag, definition)]);
    await applyChanges(t, making(flag));
    const proposed = await propose(t, [change(flag)], { ticket: TICKET, environment });
    expect(proposed.body.changes[0].facts.organizations_added).toEqual(['acme']);
    const approved = await approve(t, 'alex', proposed.body);
    expect(approved.body.state).toBe('pending');
    expect((await approve(t, 'casey', approved.body)).body.state).toBe('applied');
  });
});
