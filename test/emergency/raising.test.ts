import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, propose, readFlag } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';

/*
 * Break-glass and freezes against changes that swap one variant for another: nobody new is exposed, but what everybody
 * gets is raised. Design invariants 7 and 8.
 */

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);

let t: TestBroker;
let session: string;

const variants = { off: 0, low: 1, high: 100 };
const definition = { variants, safe_variant: 'off', default_variant: 'high' };
const ORDERED = 'ordered';

beforeAll(async () => {
  const archive = await rebundle(await readFile(SHIPPED), (data) => {
    const { config } = data as { config: object };
    return { config: { ...config, exposure_order: { [ORDERED]: ['off', 'low', 'high'] } } };
  });
  t = await startTestBroker({ archive });
  for (const flag of ['limit', 'tenants', 'plans', ORDERED]) {
    await createFlag(t, flag, definition);
    await applyChanges(t, [{ action: 'enable', flag }]);
    await applyChanges(t, [{ action: 'set_rollout', flag, default_variant: 'low' }]);
  }
  session = (await t.call('riley+mfa', 'POST', '/v1/break-glass', { incident: 'INC-1', reason: 'x' })).body
    .id;
});

afterAll(() => t.close());

const inSession = (changes: unknown[]) =>
  t.call('riley', 'POST', `/v1/break-glass/${session}/apply`, { environment: 'production', changes });

const equals = (attribute: string, values: string[], variant: string) => ({
  name: `${attribute} ${variant}`,
  when: [{ attribute, operator: 'in', values }],
  serve: { variant },
});

/** Ways to raise what somebody gets, who is exposed already. */
const RAISING: [string, object[]][] = [
  [
    'a return to a version with another default',
    [{ action: 'return_to_version', flag: 'limit', version: 2 }],
  ],
  ['another default', [{ action: 'set_rollout', flag: 'limit', default_variant: 'high' }]],
  [
    'a rollout of another variant',
    [{ action: 'set_rollout', flag: 'limit', rollout: [{ variant: 'high', percent: 100 }] }],
  ],
  [
    'a rule for an organization',
    [{ action: 'set_rollout', flag: 'limit', rules: [equals('organization', ['acme'], 'high')] }],
  ],
  [
    'a rule on an attribute',
    [{ action: 'set_rollout', flag: 'limit', rules: [equals('plan', ['x'], 'high')] }],
  ],
  [
    'a narrower audience that gets another variant',
    [
      {
        action: 'set_audience',
        flag: 'limit',
        audience: { kind: 'some', organizations: ['acme'], users: [] },
      },
      { action: 'set_rollout', flag: 'limit', default_variant: 'high' },
    ],
  ],
  [
    'switching off and returning',
    [
      { action: 'disable', flag: 'limit' },
      { action: 'return_to_version', flag: 'limit', version: 2 },
    ],
  ],
];

async function expectUnchanged(): Promise<void> {
  expect((await readFlag(t, 'limit')).states.production).toMatchObject({
    version: 3,
    default_variant: 'low',
  });
}

describe.each(RAISING)('one variant in place of another by %s', (_way, changes) => {
  it('is not made in a break-glass session', async () => {
    const { status, body } = await inSession(changes);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
    expect(body.reasons).toMatchObject([{ code: 'breakglass_unsafe' }]);
    await expectUnchanged();
  });

  it('is no lower movement', async () => {
    const { body } = await propose(t, changes);
    expect(body).toMatchObject({ state: 'pending', standing: { reasons: [{ code: 'held_by_tier' }] } });
  });
});

describe('under a freeze of everything', () => {
  beforeAll(async () => {
    await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', incident: 'INC-1', reason: 'x' });
  });

  it.each(RAISING)('%s is made neither in a session nor by a proposal', async (_way, changes) => {
    expect((await inSession(changes)).body.reasons).toMatchObject([{ code: 'breakglass_unsafe' }]);
    expect((await propose(t, changes)).body.reasons).toMatchObject([{ code: 'frozen' }]);
    await expectUnchanged();
  });

  it('rules that reach fewer organizations pass', async () => {
    const narrow = {
      action: 'set_rollout',
      flag: 'tenants',
      rules: [equals('organization', ['acme'], 'off')],
    };
    expect((await propose(t, [narrow])).body).toMatchObject({
      state: 'applied',
      changes: [{ facts: { direction: 'narrow', safe: true } }],
    });
  });

  it('a return that serves fewer passes in a session', async () => {
    const { body } = await inSession([{ action: 'return_to_version', flag: 'plans', version: 1 }]);
    expect(body.state).toBe('applied');
  });

  it('leaves a log that explains itself', async () => {
    expect(await findContradictions(t.file)).toEqual([]);
  });

  it('by the order of exposure in the policy a less exposed variant passes, and a more exposed one does not', async () => {
    const serve = (variant: string) => [{ action: 'set_rollout', flag: ORDERED, default_variant: variant }];
    expect((await inSession(serve('high'))).body.reasons).toMatchObject([{ code: 'breakglass_unsafe' }]);
    expect((await propose(t, serve('high'))).body.reasons).toMatchObject([{ code: 'frozen' }]);
    const lift = await t.call('riley', 'POST', '/v1/requests', {
      kind: 'freeze.lift',
      freeze: (await t.call('riley', 'GET', '/v1/freezes')).body.items[0].id,
      reason: 'over',
    });
    const { id, digest } = lift.body;
    await t.call('alex', 'POST', `/v1/requests/${id}/approve`, { digest });
    await t.call('sam', 'POST', `/v1/requests/${id}/approve`, { digest });
    await applyChanges(t, serve('high'));
    await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', incident: 'INC-2', reason: 'x' });
    expect((await propose(t, serve('low'))).body).toMatchObject({
      state: 'applied',
      changes: [{ facts: { safe: false, swaps: [{ from: 'high', to: 'low' }] } }],
    });
  });
});
