import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import type { Capability } from '../../src/operations.ts';
import type { AccessAnswer } from '../../src/policy/access.ts';
import { readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import type { Principal } from '../../src/principal.ts';
import { inputJsonSchema } from '../../src/requests/input-schemas.ts';
import { readFixtureBundle, readTestDataBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * Who can do what is answered by the same rules that decide. Here each answer is compared with the decisions themselves:
 * what is granted is allowed, and what is not granted is denied.
 */

const POLICIES = new URL('../../policies/', import.meta.url);
const { archive: SHIPPED } = await readTestDataBundle();

interface Base {
  input: Question;
  change: NonNullable<PolicyInput['request']>['changes'][number];
  parts: Record<string, { principal?: Principal }>;
}

const base = JSON.parse(
  readFileSync(new URL('../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
) as Base;
const NOW_MS = Date.UTC(2026, 5, 16, 12);
const ENVIRONMENTS = ['production', 'staging', 'development'];
const NAMESPACES = ['payments', 'search'];

let policy: Policy;

beforeAll(async () => {
  policy = await createPolicy(await readBundle(SHIPPED), { inputs: INPUTS });
});

/** Everybody in the fixtures, with a token that narrows nothing and ids that tell them apart. */
const everybody: [string, Principal][] = Object.entries(base.parts).flatMap(([name, { principal }]) => {
  if (!name.startsWith('by_') || principal === undefined) return [];
  const token = { ...principal.token, audience: 'control', scope: [] };
  return [[name, { ...principal, token }] as [string, Principal]];
});

function accessOf(principals: Principal[], asked = policy): AccessAnswer {
  const answer = asked.access(principals);
  if (answer === null) throw new Error('the bundle does not say who can do what');
  return answer;
}

function question(principal: Principal, environment: string, more: Partial<Question>): Question {
  return {
    ...base.input,
    principal,
    request: null,
    environment: { key: environment, kind: environment },
    approvals: [],
    ...more,
  };
}

/** A request by somebody else to switch one self-service flag on, unless the caller is to be the author. */
function requestIn(namespace: string, tier: 'informational' | 'sensitive', author: Principal | null) {
  const { request } = base.input;
  if (request === null) throw new Error('the base has no request');
  const proposer = author ?? { ...request.proposer, id: 'person:demo:author', person: 'emp-9999' };
  const flag = { ...base.change.flag, namespace, tier };
  return {
    ...request,
    proposer,
    authors: [proposer.person ?? proposer.id],
    created_ms: NOW_MS,
    changes: [{ ...base.change, flag }],
  };
}

/** Whether the policy itself decides that a principal may. */
const DECIDES: Record<Capability, (who: Principal, environment: string, namespace: string) => boolean> = {
  read: (who, environment, namespace) =>
    may(question(who, environment, { operation: 'flag.read', namespace })),
  propose: (who, environment, namespace) =>
    may(
      question(who, environment, {
        operation: 'request.propose',
        request: requestIn(namespace, 'informational', who),
      }),
    ),
  approve: (who, environment, namespace) => {
    const request = requestIn(namespace, 'sensitive', null);
    const change = request.changes[0];
    if (change === undefined || environment === 'development') return false;
    const facts = { ...change.facts, organizations_added: environment === 'production' ? ['acme'] : [] };
    return may(
      question(who, environment, {
        operation: 'request.approve',
        request: { ...request, changes: [{ ...change, facts }] },
      }),
    );
  },
  override: (who, environment, namespace) =>
    may(
      question(who, environment, {
        operation: 'freeze.engage',
        emergency: {
          ...base.input.emergency,
          engage: { scope: 'namespace', environment, namespace, flag: null, incident: 'I', reason: 'r' },
        },
      }),
    ),
  administer: (who, environment) =>
    may(question(who, environment, { operation: 'policy.activate' })) ||
    may(
      question(who, environment, {
        operation: 'revocation.add',
        revocation: { kind: 'class', value: 'workload', issued_before_ms: null, incident: 'I', reason: 'r' },
      }),
    ),
};

function may(asked: Question): boolean {
  return policy.decide(asked, NOW_MS).effect !== 'deny';
}

/** Where the answers say more than one decision can: an approver of development, where nothing asks for one. */
function isDecidable(capability: Capability, environment: string, principal: Principal): boolean {
  if (capability !== 'approve') return true;
  // Outside production no organization is asked for, so that account-approvers have nothing to approve.
  return (
    environment === 'production' ||
    (environment === 'staging' && !principal.groups.includes('customer-success'))
  );
}

describe('who can do what', () => {
  it.each(everybody)('is what the policy decides: %s', (_name, principal) => {
    const { grants } = accessOf([principal]);
    for (const environment of ENVIRONMENTS) {
      for (const namespace of NAMESPACES) {
        for (const [capability, decides] of Object.entries(DECIDES) as [Capability, typeof DECIDES.read][]) {
          if (!isDecidable(capability, environment, principal)) continue;
          const granted = grants.some(
            (grant) =>
              grant.principal === principal.id &&
              grant.capability === capability &&
              grant.environment === environment &&
              ['*', namespace].includes(grant.namespace),
          );
          expect({ capability, environment, namespace, granted }).toEqual({
            capability,
            environment,
            namespace,
            granted: decides(principal, environment, namespace),
          });
        }
      }
    }
  });

  it('answers for many at once as for one, whatever their number', () => {
    const many = Array.from({ length: 1201 }, (_, place): Principal => {
      const [, principal] = everybody[place % everybody.length] ?? ['', base.input.principal];
      return { ...principal, id: `${principal.id}:${place}` };
    });
    const { grants, bindings } = accessOf(many);
    expect(bindings).toEqual(accessOf([]).bindings);
    const ofOne = (id: string) => grants.filter((grant) => grant.principal === id);
    for (const principal of many.filter((_, place) => place % 100 === 0)) {
      expect(ofOne(principal.id)).toEqual(accessOf([principal]).grants);
    }
  });

  it('fits into the memory of the engine, however many hold however much', async () => {
    const names = Array.from({ length: 300 }, (_, place) => `group-${place}`);
    const { issuer } = base.input.principal;
    const archive = await rebundle(SHIPPED, (data) => {
      const { config } = data as { config: { role_bindings: object } };
      const bound = [
        { roles: ['flag-reader', 'flag-deployer'], namespaces: ['payments'], environments: ['*'] },
      ];
      const groups = { [issuer]: Object.fromEntries(names.map((name) => [name, bound])) };
      return { config: { ...config, role_bindings: { ...config.role_bindings, groups } } };
    });
    const wide = await createPolicy(await readStoredBundle(archive), { inputs: INPUTS });
    const holders = Array.from({ length: 20 }, (_, place): Principal => {
      return { ...base.input.principal, id: `person:demo:${place}`, groups: names };
    });
    // Everybody reads and proposes in three environments, by each of the groups.
    expect(accessOf(holders, wide).grants).toHaveLength(20 * 300 * 2 * 3);
  });

  it('names the binding, so that an auditor finds it in the data', () => {
    const dana = base.parts.by_dana?.principal;
    if (dana === undefined) throw new Error('nobody is called dana');
    expect(accessOf([dana]).grants).toContainEqual({
      principal: 'person:demo:dana',
      capability: 'propose',
      environment: 'production',
      namespace: 'payments',
      binding: { by: 'group', issuer: dana.issuer, key: 'payments-developers', index: 0 },
    });
  });

  it('lists every binding of the data once, with what it is good for', async () => {
    const { bindings } = accessOf([]);
    const { data } = await readBundle(SHIPPED);
    const { groups, trust_rules, principals } = (
      data as { config: { role_bindings: Record<'groups' | 'trust_rules' | 'principals', object> } }
    ).config.role_bindings;
    const keys = [
      ...Object.values(groups).flatMap(Object.keys),
      ...Object.keys(trust_rules),
      ...Object.keys(principals),
    ];
    expect(bindings.map(({ key }) => key).sort()).toEqual(keys.sort());
    expect(bindings.find(({ key }) => key === 'payments-deploy')).toEqual({
      by: 'trust_rule',
      issuer: null,
      key: 'payments-deploy',
      index: 0,
      capabilities: ['propose', 'read'],
      environments: ['development', 'production', 'staging'],
      namespaces: ['payments'],
    });
    expect(bindings.find(({ key }) => key === 'workload:countersign:scheduler')?.capabilities).toEqual([]);
  });

  it('has no answer for an invalid principal', () => {
    expect(() =>
      policy.access([{ ...base.input.principal, kind: 'robot' } as unknown as Principal]),
    ).toThrow();
  });
});

describe('a bundle of one’s own', () => {
  it('may do without it', async () => {
    const own = await createPolicy(await readBundle(await readFixtureBundle('anybody')), { inputs: INPUTS });
    expect(own.access([base.input.principal])).toBeNull();
  });

  it('gets an error when its data produces an answer of another shape', async () => {
    const archive = await rebundle(SHIPPED, (data) => {
      const { config } = data as { config: { role_bindings: object } };
      const bound = { roles: ['flag-reader'], namespaces: [7], environments: ['*'] };
      const role_bindings = { principals: { [base.input.principal.id]: [bound] } };
      return { config: { ...config, role_bindings } };
    });
    const own = await createPolicy(await readStoredBundle(archive), { inputs: INPUTS });
    expect(() => own.access([base.input.principal])).toThrow(/countersign\/access.*is invalid/);
  });
});

describe('the schema of the question', () => {
  it('that Rego is checked against is the one the broker validates with', () => {
    expect(readFileSync(new URL('schemas/access.json', POLICIES), 'utf8')).toBe(inputJsonSchema('access'));
  });
});
