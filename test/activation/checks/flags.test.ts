import { beforeAll, describe, expect, it } from 'vitest';
import { compareFlags, type FlagsDiff, flagsCheck, seenFlags } from '../../../src/activation/checks/flags.ts';
import type { Policy } from '../../../src/policy/policies.ts';
import type { FlagGroup } from '../../../src/store/flags.ts';
import type { Config } from '../../support/activation.ts';
import { readFixtureBundle } from '../../support/bundles.ts';
import { comparing, policyOf, shippedWith } from '../../support/compared-policies.ts';

/*
 * What switching existing flags on or off requires, under two policies.
 */

let shipped: Policy;

beforeAll(async () => {
  shipped = await shippedWith(withSearchers);
});

/** Somebody may propose in another namespace, too. */
function withSearchers(config: Config): void {
  const { groups } = config.role_bindings as { groups: Record<string, Record<string, unknown>> };
  for (const of of Object.values(groups)) {
    of.searchers = [{ roles: ['flag-deployer'], namespaces: ['search'], environments: ['*'] }];
  }
}

const FLAGS: FlagGroup[] = [
  {
    namespace: 'payments',
    tier: 'high-risk',
    kind: 'release',
    owner: 'a',
    flags: 2,
    names: ['refunds', 'wires'],
  },
  { namespace: 'payments', tier: 'high-risk', kind: 'release', owner: 'b', flags: 1, names: ['limits'] },
  { namespace: 'payments', tier: 'informational', kind: 'release', owner: 'a', flags: 1, names: ['banner'] },
  { namespace: 'search', tier: 'sensitive', kind: 'experiment', owner: 'c', flags: 1, names: ['ranking'] },
];

type Tiers = Record<string, Record<string, Record<'raise' | 'lower', Record<string, unknown>>>>;
const rule = (config: Config, tier: string, movement: 'raise' | 'lower') => {
  const found = (config.tiers as unknown as Tiers)[tier]?.production?.[movement];
  if (found === undefined) throw new Error('no such rule');
  return found;
};

async function diff(edit: (config: Config) => void): Promise<FlagsDiff> {
  const candidate = await shippedWith((config) => {
    withSearchers(config);
    edit(config);
  });
  return compareFlags(comparing({ active: shipped, candidate }), FLAGS);
}

describe('existing flags under another policy', () => {
  it('are not listed where nothing changes', async () => {
    const report = await diff((config) => {
      (config.limits as Record<string, number>).request_ttl_s = 1000;
    });
    expect(report).toEqual({ lines: [], flags: 5, left_out: 0 });
    expect(flagsCheck.isNothing(report)).toBe(true);
  });

  it('need other approvals, with what they need in words, in one line for all that are alike', async () => {
    const report = await diff((config) => {
      rule(config, 'high-risk', 'raise').approvals = { 'flag-approver': 2 };
    });
    expect(report.lines).toEqual([
      {
        environment: 'production',
        tier: 'high-risk',
        namespace: 'payments',
        movement: 'raise',
        change: 'held_differently',
        flags: 3,
        names: ['limits', 'refunds', 'wires'],
        before: expect.objectContaining({
          effect: 'hold',
          needs: expect.arrayContaining(['1 approval by flag-approver', '1 approval by security-approver']),
        }),
        after: expect.objectContaining({
          effect: 'hold',
          needs: expect.arrayContaining(['2 approvals by flag-approver']),
        }),
      },
    ]);
    expect(report.lines[0]?.before.needs.join()).toContain('the window');
  });

  it('need nobody any more, which is worse than what was approved unless it was shown', async () => {
    const loosen = (config: Config) => {
      Object.assign(rule(config, 'high-risk', 'raise'), {
        ...{ approvals: {}, ticket: false, windows: [], account_approvers: false, sign_in: null },
      });
    };
    const report = await diff(loosen);
    expect(report.lines).toMatchObject([
      { change: 'allowed', flags: 3, after: { effect: 'allow', needs: [] } },
    ]);
    expect(flagsCheck.worse(report, await diff(loosen))).toBeNull();
    expect(flagsCheck.worse(await diff(() => undefined), report)).toContain(
      '3 high-risk in payments, production, switched on',
    );
  });

  it('are denied where an environment is gone, or nobody may propose', async () => {
    const gone = await diff((config) => {
      delete (config.environments as Record<string, unknown>).staging;
      config.trust_rules = {};
    });
    expect(new Set(gone.lines.map(({ environment, change }) => `${environment} ${change}`))).toEqual(
      new Set(['staging denied']),
    );
    expect(gone.lines[0]?.after.reasons).toContain('unknown_environment');
    const nobody = await diff((config) => {
      const { groups } = config.role_bindings as { groups: Record<string, Record<string, unknown>> };
      for (const of of Object.values(groups)) delete of['payments-developers'];
      delete (config.role_bindings as { trust_rules: Record<string, unknown> }).trust_rules[
        'payments-deploy'
      ];
    });
    expect(
      nobody.lines.every(({ change, namespace }) => change === 'denied' && namespace === 'payments'),
    ).toBe(true);
    expect(nobody.lines.length).toBeGreaterThan(0);
  });

  it('are compared for a policy that does not say who has what', async () => {
    const anybody = await policyOf(await readFixtureBundle('anybody'));
    const report = await compareFlags(comparing({ active: shipped, candidate: anybody }), FLAGS);
    expect(report.lines).toContainEqual(
      expect.objectContaining({
        ...{ environment: 'production', tier: 'informational', change: 'held' },
        after: expect.objectContaining({ needs: ['1 approval by anybody'] }),
      }),
    );
  });

  it('of many owners are one line', async () => {
    const many = Array.from({ length: 60 }, (_, n): FlagGroup => {
      const key = `f-${String(n).padStart(2, '0')}`;
      return { ...(FLAGS[2] as FlagGroup), tier: 'operational', owner: `o-${n}`, names: [key] };
    });
    const candidate = await shippedWith((config) => {
      withSearchers(config);
      rule(config, 'operational', 'raise').approvals = { 'flag-approver': 2 };
    });
    const report = await compareFlags(comparing({ active: shipped, candidate }), many);
    expect(report.lines).toMatchObject([{ flags: 60, names: ['f-00', 'f-01', 'f-02', 'f-03', 'f-04'] }]);
  });

  it('are left out of what a reader is shown who may not see them', async () => {
    const report = await diff((config) => {
      rule(config, 'high-risk', 'raise').ticket = false;
      rule(config, 'sensitive', 'raise').ticket = false;
    });
    expect(new Set(report.lines.map(({ namespace }) => namespace))).toEqual(new Set(['payments', 'search']));
    const seen = seenFlags(report, ({ namespace }) => namespace === 'payments');
    expect(JSON.stringify(seen)).not.toMatch(/search|ranking/);
    expect(seen.flags).toBe(0);
    expect(seen.lines.length).toBeGreaterThan(0);
  });
});
