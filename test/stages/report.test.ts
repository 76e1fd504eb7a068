import { afterEach, beforeEach, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import { reportOf } from '../support/checks.ts';
import { activated, change, freeFlag, proposeActivation, startStaged } from '../support/stages.ts';

/*
 * The report of a candidate is about what its stage decides.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startStaged();
  await signIn(t, ['morgan', 'jordan', 'sam', 'casey']);
});

afterEach(() => t.close());

/** Lets customer success propose, and approve. */
const granting = () => [
  {
    op: 'add',
    path: `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/customer-success/-`,
    value: {
      roles: ['flag-deployer', 'flag-approver', 'flag-emergency-override', 'flag-reader'],
      namespaces: ['payments'],
      environments: ['*'],
    },
  },
];

/** The environments in which casey gains something, and the operations that are about no place. */
async function gained(fields: object) {
  const { body } = await proposeActivation(t, fields);
  const { report } = await reportOf(t, body, 'avery');
  const rights = report.access.gained.principals.flatMap((each: { rights: object[] }) => each.rights) as {
    operation: string;
    about: string[];
    environments: string[];
  }[];
  return {
    environments: [...new Set(rights.flatMap(({ environments }) => environments))].toSorted(),
    operations: rights.map(({ operation }) => operation),
    // Freezes of any environment are lifted by the last stage's policy.
    approving: rights.flatMap(({ operation, about, environments }) =>
      operation === 'request.approve' && about.includes('operational') ? environments : [],
    ),
    skipped: report.backtest.skipped,
  };
}

it('of an earlier stage, access in its environments, and its own decisions', async () => {
  const flag = await freeFlag(t, 'checkout');
  for (const environment of ['staging', 'production']) await change(t, flag, environment);
  const inStaging = await gained({ patch: granting(), stage: 'staging' });
  expect(inStaging.environments).toEqual(['development', 'staging']);
  expect(inStaging.operations).toContain('request.approve');
  expect(inStaging.operations).not.toContain('freeze.engage');
  expect(JSON.stringify(inStaging.skipped)).toContain('other_stage');
});

it('of the last stage, everything that no earlier stage decides by a policy of its own', async () => {
  expect((await gained({ patch: granting() })).environments).toEqual([
    'development',
    'production',
    'staging',
  ]);
  await activated(t, {
    stage: 'staging',
    patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }],
  });
  const rights = await gained({ patch: granting() });
  expect(rights.approving).toContain('production');
  expect(rights.approving).not.toContain('staging');
  expect(rights.operations).toContain('freeze.engage');
});
