import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Audience, Rule } from '../../src/flags/model.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, creation, propose, readFlag } from '../support/flags.ts';

/** What the largest states that are accepted are made of. */
interface Largest {
  rules?: Rule[];
  audience: Audience;
}

const KIB = 1024;
const some = (organizations: string[], users: string[] = []): Audience => ({
  kind: 'some',
  organizations,
  users: users.map((id) => ({ id, exception: { reason: 'x', until_ms: 1.9e12 } })),
});
const names = (count: number, length: number): string[] =>
  Array.from({ length: count }, (_, index) => `o${index}`.padEnd(length, 'z'));
const rules = (count: number, attribute: string, values: (index: number) => string[]): Rule[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `r${index}`,
    when: [{ attribute, operator: 'in', values: values(index) }],
    serve: { variant: 'on' },
  }));

/** 64 KiB less what a state has besides its lists. */
const ROOM = 64 * KIB - 200;

const LARGEST: [string, Largest][] = [
  ['as many organizations as there may be', { audience: some(names(2000, 28)) }],
  ['organizations of the longest names', { audience: some(names(Math.floor(ROOM / 258), 255)) }],
  [
    'as many users as there may be',
    {
      audience: some(
        [],
        Array.from({ length: 1000 }, (_, index) => index.toString(36).padStart(2, '0')),
      ),
    },
  ],
  [
    'as many rules as there may be, each for organizations',
    {
      audience: some(['acme']),
      rules: rules(100, 'organization', (index) => names(20, 18).map((name) => `${name}${index}`)),
    },
  ],
  [
    'as many values as a condition may have',
    {
      audience: some(names(500, 28)),
      rules: rules(10, 'plan', () => names(450, 5)),
    },
  ],
];

const OFF: [string, (flag: string) => Record<string, unknown>][] = [
  ['disable', (flag) => ({ action: 'disable', flag })],
  ['an audience of none', (flag) => ({ action: 'set_audience', flag, audience: { kind: 'none' } })],
];

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(async () => {
  await t.close();
});

let made = 0;

async function switchedOn({ rules: wanted, audience }: Largest): Promise<string> {
  made += 1;
  const flag = `large-${made}`;
  await applyChanges(t, [creation(flag, { tier: 'informational' }), { action: 'enable', flag }]);
  if (wanted !== undefined) await applyChanges(t, [{ action: 'set_rollout', flag, rules: wanted }]);
  await applyChanges(t, [{ action: 'set_audience', flag, audience }]);
  return flag;
}

describe.each(LARGEST)('a flag with %s', (_what, largest) => {
  it('nearly fills a state', async () => {
    const flag = await switchedOn(largest);
    const state = (await readFlag(t, flag)).states.production;
    expect(state.enabled).toBe(true);
    expect(JSON.stringify(state).length).toBeGreaterThan(48 * KIB);
  });

  it.each(OFF)('is switched off by %s', async (_how, off) => {
    const flag = await switchedOn(largest);
    const request = await applyChanges(t, [off(flag)]);
    expect(request.changes[0].facts.direction).toBe('off');
  });

  it('is switched off and returned to where it was by return_to_version', async () => {
    const flag = await switchedOn(largest);
    await applyChanges(t, [{ action: 'disable', flag }]);
    const { version } = (await readFlag(t, flag)).states.production;
    await applyChanges(t, [{ action: 'return_to_version', flag, version: version - 1 }]);
    await applyChanges(t, [{ action: 'return_to_version', flag, version }]);
    expect((await readFlag(t, flag)).states.production.enabled).toBe(false);
  });

  it('is switched off in a break-glass session', async () => {
    const flag = await switchedOn(largest);
    t.clock.advance(8 * 24 * 3600_000);
    const session = await t.call('riley+mfa', 'POST', '/v1/break-glass', {
      incident: 'INC-1',
      reason: 'now',
    });
    expect(session.status).toBe(201);
    const applied = await t.call('riley+mfa', 'POST', `/v1/break-glass/${session.body.id}/apply`, {
      environment: 'production',
      changes: [{ action: 'disable', flag }],
    });
    expect(applied.body).toMatchObject({ state: 'applied' });
    expect((await readFlag(t, flag)).states.production.enabled).toBe(false);
  });
});

describe('a state that is larger than can be switched off', () => {
  it('is refused, with the limit', async () => {
    const flag = await switchedOn({ audience: some(['acme']) });
    const audience = some(names(2000, 40));
    const large = await propose(t, [{ action: 'set_audience', flag, audience }]);
    expect(large).toMatchObject({ status: 422, body: { code: 'invalid_change' } });
    expect(large.body.detail).toContain('64 KiB');
    const many = await propose(t, [{ action: 'set_audience', flag, audience: some(names(2001, 6)) }]);
    expect(many.status).toBe(400);
  });
});
