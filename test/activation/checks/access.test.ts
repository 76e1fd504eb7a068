import { beforeAll, describe, expect, it } from 'vitest';
import { compareAccess } from '../../../src/activation/checks/access.ts';
import { gainedSince } from '../../../src/activation/checks/access-lines.ts';
import { type AccessDiff, describeRight } from '../../../src/activation/checks/access-view.ts';
import type { Policy } from '../../../src/policy/policies.ts';
import { ownPrincipals, type Principal } from '../../../src/principal.ts';
import type { Config } from '../../support/activation.ts';
import { readFixtureBundle } from '../../support/bundles.ts';
import { comparing, policyOf, SHIPPED, shippedWith } from '../../support/compared-policies.ts';

/*
 * Who gains and who loses what between two policies, by each road on which a candidate can give it.
 */

const ISSUER = 'http://127.0.0.1:9401';

let shipped: Policy;

beforeAll(async () => {
  shipped = await policyOf(SHIPPED);
});

function person(name: string, groups: string[], claims: Principal['claims'] = {}): Principal {
  return {
    id: `person:demo:${name}`,
    kind: 'person',
    person: name,
    issuer: ISSUER,
    groups,
    claims,
    auth: { level: 1, acr: null, amr: [], auth_time_ms: 0 },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: 0 },
  };
}

function workload(name: string, trust_rule: string): Principal {
  const base = person(name, []);
  return {
    ...base,
    id: `workload:${trust_rule}:${name}`,
    kind: 'workload',
    person: null,
    token: { ...base.token, trust_rule },
  };
}

const MALLORY = person('mallory', ['interns'], { department: 'sales' });
const DANA = person('dana', ['payments-developers']);
const SAM = person('sam', ['security']);
const JOB = workload('job-1', 'payments-deploy');
const KNOWN = [...ownPrincipals, MALLORY, DANA, SAM, JOB];

type Bindings = Record<string, Record<string, unknown>>;
const bindingsOf = (config: Config) => config.role_bindings as unknown as Record<string, Bindings>;
const groupsOf = (config: Config) => bindingsOf(config).groups?.[ISSUER] as Record<string, object[]>;
const everything = { roles: ['flag-approver', 'flag-deployer'], namespaces: ['*'], environments: ['*'] };

async function diff(
  edit: (config: Config) => void,
  known: readonly Principal[] = KNOWN,
): Promise<AccessDiff> {
  return compareAccess(comparing({ active: shipped, candidate: await shippedWith(edit) }), known);
}

/** What each of the named may do from then on, in words. */
function gains(report: AccessDiff, side: 'gained' | 'lost' = 'gained'): Record<string, string[]> {
  return Object.fromEntries(
    report[side].principals.flatMap(({ names, rights }) =>
      names.map((name) => [name, rights.map(describeRight)]),
    ),
  );
}

function boundGains(report: AccessDiff): Record<string, string[]> {
  return Object.fromEntries(
    report.gained.bindings.map(({ by, key, rights }) => [`${by} ${key}`, rights.map(describeRight)]),
  );
}

const IN_ALL = 'in development, production, staging, every namespace';

describe('a candidate that gives access', () => {
  it('by a binding for a group that somebody has, is named with them', async () => {
    const report = await diff((config) => {
      groupsOf(config).interns = [everything];
    });
    expect(Object.keys(gains(report))).toEqual(['mallory']);
    expect(gains(report).mallory).toContain(`flag.read ${IN_ALL}`);
    expect(gains(report).mallory).toContain(
      `request.propose (high-risk, informational, operational, sensitive) ${IN_ALL}`,
    );
    expect(report.gained.principals[0]?.by).toEqual([{ by: 'group', issuer: ISSUER, key: 'interns' }]);
    expect(report.lost).toEqual({ principals: [], bindings: [], left_out: 0 });
  });

  it('by a binding for a group that nobody known has, is named with the group', async () => {
    const report = await diff((config) => {
      groupsOf(config).ghosts = [{ ...everything, roles: ['policy-maintainer'] }];
    });
    expect(report.gained.principals).toEqual([]);
    expect(report.gained.bindings.map(({ key, holders }) => [key, holders])).toEqual([['ghosts', 0]]);
    expect(boundGains(report)['group ghosts']).toEqual(
      expect.arrayContaining([
        'policy.activate',
        'policy.upload',
        'key.rotate',
        'request.approve (policy.activate)',
      ]),
    );
  });

  it('by a claim', async () => {
    const report = await diff((config) => {
      bindingsOf(config).claims = { [ISSUER]: { department: { sales: [everything] } } };
    });
    expect(Object.keys(gains(report))).toEqual(['mallory']);
    expect(Object.keys(boundGains(report))).toEqual(['claim department=sales']);
  });

  it('by the id of a principal', async () => {
    const report = await diff((config) => {
      (bindingsOf(config).principals as Bindings)[MALLORY.id] = [everything] as never;
    });
    expect(Object.keys(gains(report))).toEqual(['mallory']);
    expect(Object.keys(boundGains(report))).toEqual([`principal ${MALLORY.id}`]);
  });

  it('by a new trust rule with a binding', async () => {
    const report = await diff((config) => {
      const rules = config.trust_rules as Record<string, object>;
      rules.nightly = {
        ...rules['checkout-service'],
        grant: { ...(rules['payments-deploy'] as { grant: object }).grant },
      };
      (bindingsOf(config).trust_rules as Bindings).nightly = [everything] as never;
    });
    expect(report.trust_rules).toMatchObject([{ rule: 'nightly', change: 'added' }]);
    expect(boundGains(report)['trust_rule nightly']).toEqual(
      expect.arrayContaining([
        'token.exchange',
        'flag.read in development, production, staging, payments',
        'request.apply in development, production, staging, payments',
      ]),
    );
  });

  it('by a wider trust rule: for those who have it, and in its conditions', async () => {
    const report = await diff((config) => {
      const rule = (
        config.trust_rules as Record<string, { claims: object; grant: { namespaces: string[] } }>
      )['payments-deploy'];
      if (rule === undefined) throw new Error('no rule');
      rule.claims = { ...rule.claims, ref: 'refs/heads/*' };
      rule.grant.namespaces = ['*'];
      const bound = bindingsOf(config).trust_rules as unknown as Record<string, { namespaces: string[] }[]>;
      for (const row of bound['payments-deploy'] ?? []) row.namespaces = ['*'];
    });
    expect(report.trust_rules).toMatchObject([
      { rule: 'payments-deploy', change: 'changed', members: ['claims', 'grant'] },
    ]);
    expect(gains(report)[JOB.id]).toContain(
      'flag.read in development, production, staging, every namespace but payments',
    );
  });

  it('by other roles of an operation, whoever has them', async () => {
    const report = await diff((config) => {
      const operation = (config.operations as Record<string, { roles: { any: string[] } }>)['decision.read'];
      operation?.roles.any.push('flag-deployer');
    });
    // The job has the role too, but its trust rule does not grant the operation.
    expect(gains(report)).toEqual({ dana: ['decision.read'] });
    expect(boundGains(report)).toEqual({ 'group payments-developers': ['decision.read'] });
  });

  it('by wider namespaces or environments of a binding', async () => {
    const report = await diff((config) => {
      groupsOf(config)['payments-developers'] = [
        { roles: ['flag-deployer', 'flag-reader'], namespaces: ['*'], environments: ['*'] },
      ];
    });
    expect(gains(report).dana).toContain(
      'request.edit in development, production, staging, every namespace but payments',
    );
    expect(report.binding_changes).toMatchObject([{ key: 'payments-developers' }]);
  });

  it('by names that no longer belong to one human, and takes it by those that do', async () => {
    const report = await diff((config) => {
      const persons = config.persons as Record<string, string>;
      delete persons['github:5001'];
      persons.mallory = 'dana';
    });
    expect(report.persons).toEqual([
      { change: 'merged', names: ['dana', 'mallory'] },
      { change: 'separated', names: ['emp-1001', 'github:5001'] },
    ]);
  });

  it('takes access, which is shown and no conflict', async () => {
    const report = await diff((config) => {
      delete groupsOf(config).security;
    });
    expect(gains(report)).toEqual({});
    expect(gains(report, 'lost').sam?.join()).toContain('request.approve (person.erase, policy.activate');
    const none = await diff(() => undefined);
    expect(gainedSince(none, report)).toEqual([]);
  });
});

describe('access that was gained since the report', () => {
  const approve = (group: string) => (config: Config) => {
    groupsOf(config)[group] = [{ ...everything, roles: ['flag-reader'], namespaces: ['payments'] }];
  };

  it('names who gains it: another group, another person, another right', async () => {
    const approved = await diff(approve('interns'));
    expect(gainedSince(approved, await diff(approve('interns')))).toEqual([]);
    const eve = person('eve', ['interns']);
    const joined = gainedSince(approved, await diff(approve('interns'), [...KNOWN, eve]));
    expect(joined).toHaveLength(1);
    expect(joined[0]).toMatch(/^eve may .*flag\.read in development, production, staging, payments/);
    const both = gainedSince(
      approved,
      await diff((config) => {
        approve('interns')(config);
        approve('ghosts')(config);
      }),
    );
    expect(both.join()).toMatch(/group ghosts may .*flag\.read/);
    const wider = gainedSince(
      approved,
      await diff((config) => {
        groupsOf(config).interns = [everything];
      }),
    );
    expect(wider.join()).toMatch(/mallory may .*request\.propose/);
  });

  it('names a trust rule that is another one, and persons who are separated', async () => {
    const none = await diff(() => undefined);
    const since = await diff((config) => {
      const rules = config.trust_rules as Record<string, { claims: Record<string, unknown> }>;
      const rule = rules['payments-deploy'];
      if (rule !== undefined) rule.claims.ref = 'refs/heads/*';
      delete (config.persons as Record<string, string>)['github:5001'];
    });
    expect(gainedSince(none, since)).toEqual([
      'trust rule payments-deploy is changed',
      'emp-1001, github:5001 are several persons',
    ]);
  });

  it('does not name each of many who gain the same: they were approved as a whole', async () => {
    const many = Array.from({ length: 60 }, (_, n) => person(`intern-${n}`, ['interns']));
    const approved = await diff(approve('interns'), many);
    expect(approved.gained.principals).toMatchObject([{ count: 60 }]);
    expect(gainedSince(approved, await diff(approve('interns'), [...many, MALLORY]))).toEqual([]);
  });
});

describe('a policy that does not say who has what', () => {
  it('is compared by its decisions, and the report says so', async () => {
    const anybody = await policyOf(await readFixtureBundle('anybody'));
    const report = await compareAccess(comparing({ active: shipped, candidate: anybody }), KNOWN);
    expect(report.notes.map(({ code }) => code)).toEqual(['no_access_entry_point', 'other_module']);
    expect(gains(report).mallory).toContain('policy.activate');
  });
});
