import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { compareAccess } from '../../../src/activation/checks/access.ts';
import type { AccessDiff } from '../../../src/activation/checks/access-view.ts';
import type { Operation } from '../../../src/operations.ts';
import type { Policy, Question } from '../../../src/policy/policies.ts';
import type { Principal } from '../../../src/principal.ts';
import type { Config } from '../../support/activation.ts';
import { WORKING_HOURS_MS } from '../../support/broker.ts';
import { comparing, policyOf, SHIPPED, shippedWith, under } from '../../support/compared-policies.ts';

/*
 * The difference of access against an oracle that knows nothing of groups, samples or bindings: it asks both policies about
 * each person, operation and place, with requests of its own. Both must say the same, under any change of the data.
 */

const ISSUER = 'http://127.0.0.1:9401';
const NOW_MS = WORKING_HOURS_MS;
const ENVIRONMENTS = ['development', 'production', 'staging'];
/** The last one is named by no policy. */
const NAMESPACES = ['payments', 'search', 'zebra'];
const ROLES = [
  ...['flag-reader', 'flag-deployer', 'flag-approver', 'security-approver', 'flag-emergency-override'],
  ...['flag-auditor', 'policy-maintainer', 'provisioner'],
];
const GROUPS = ['payments-developers', 'security', 'platform', 'responders', 'newcomers', 'interns'];

const PEOPLE = GROUPS.flatMap((group, n) => [
  person(`one-${n}`, [group]),
  person(`two-${n}`, [group, GROUPS[(n + 2) % GROUPS.length] ?? group]),
]);

function person(name: string, groups: string[]): Principal {
  return {
    id: `person:demo:${name}`,
    kind: 'person',
    person: name,
    issuer: ISSUER,
    groups,
    claims: {},
    groups_seen_ms: NOW_MS,
    auth: { level: 3, acr: null, amr: [], auth_time_ms: NOW_MS },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: NOW_MS },
  };
}

const SIDES = ['gained', 'lost'] as const;

/** What the oracle asks: an operation on a flag in a place, or without one. */
const PLACED: readonly [Operation, string | null][] = [
  ['flag.read', null],
  ['freeze.read', null],
  ['request.propose', 'informational'],
  ['request.propose', 'high-risk'],
  ['request.approve', 'sensitive'],
  ['request.approve', 'high-risk'],
  ['request.edit', null],
  ['freeze.engage', null],
];
const PLAIN: readonly Operation[] = [
  ...(['decision.read', 'policy.read', 'access.read', 'policy.activate', 'policy.upload'] as const),
  ...(['principal.disable', 'key.rotate', 'agent.delegate', 'revocation.read', 'trust.test'] as const),
];

const QUIET = { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 };

function ask(operation: Operation, principal: Principal, more: Partial<Question>): Question {
  return {
    ...{ operation, principal, environment: null, namespace: null, request: null },
    ...{ approvals: [], rejections: [], emergency: QUIET, ...more },
  };
}

function onFlag(operation: Operation, who: Principal, environment: string, namespace: string, tier: string) {
  const author = operation === 'request.approve' ? person('the-author', ['payments-developers']) : who;
  const lists = { organizations_added: [], organizations_removed: [], users_added: [], users_removed: [] };
  const change = {
    flag: { key: 'f', namespace, tier, kind: 'release', owner: 'o', expires_ms: null },
    action: 'enable',
    before: null,
    after: null,
    facts: {
      ...{ scope: 'state', direction: 'on', audience_grew: true, safe: false, swaps: [], ...lists },
      ...{ organizations_named: [], reaches_everybody: false, default_changed: false, returns_to: null },
      ...{ tier_lowered_from: null, entitlement: false, exception_used: false },
    },
  };
  const request = {
    ...{ id: 'r', kind: 'flag.change', digest: 'd', proposer: author, authors: [author.person] },
    ...{ created_ms: NOW_MS, reason: 'r', ticket: null, changes: [change], object: null },
    facts: { direction: 'on', definition: false, organizations: [], namespaces: [namespace] },
  };
  return ask(operation, who, {
    environment: { key: environment, kind: environment },
    request: request as unknown as NonNullable<Question['request']>,
  });
}

function questionIn(
  [operation, tier]: (typeof PLACED)[number],
  who: Principal,
  environment: string,
  namespace: string,
): Question {
  if (operation.startsWith('request.'))
    return onFlag(operation, who, environment, namespace, tier ?? 'sensitive');
  const place = { key: environment, kind: environment };
  if (operation !== 'freeze.engage') return ask(operation, who, { environment: place, namespace });
  const engage = {
    scope: 'namespace',
    environment,
    namespace,
    flag: null,
    incident: 'I',
    reason: 'r',
  } as const;
  return ask(operation, who, { environment: place, emergency: { ...QUIET, engage } });
}

function may(policy: Policy, question: Question): boolean {
  return policy.decide(under(policy, question), NOW_MS).effect !== 'deny';
}

/** Whether the report says that somebody gains or loses this. */
function isListed(
  report: AccessDiff,
  side: 'gained' | 'lost',
  name: string,
  [operation, about, environment, namespace]: readonly (string | null)[],
): boolean {
  return report[side].principals
    .filter(({ names }) => names.includes(name))
    .flatMap(({ rights }) => rights)
    .some(
      (right) =>
        right.operation === operation &&
        (about === null ? right.about.length === 0 : right.about.includes(about ?? '')) &&
        (environment === null || right.environments.includes(environment ?? '')) &&
        (namespace === null ||
          right.namespaces.includes(namespace ?? '') ||
          (right.namespaces.includes('*') && !right.except.includes(namespace ?? ''))),
    );
}

const binding = fc.record({
  roles: fc.uniqueArray(fc.constantFrom(...ROLES), { minLength: 1, maxLength: 3 }),
  namespaces: fc.constantFrom(['*'], ['payments'], ['search'], ['payments', 'search']),
  environments: fc.constantFrom(['*'], ['staging'], ['production', 'development']),
});
const edit = fc.oneof(
  fc.record({ group: fc.constantFrom(...GROUPS), rows: fc.array(binding, { maxLength: 2 }) }),
  fc.record({
    operation: fc.constantFrom(
      'decision.read',
      'policy.read',
      'freeze.engage',
      'flag.read',
      'principal.disable',
    ),
    role: fc.constantFrom(...ROLES),
  }),
);

function carryOut(config: Config, change: typeof edit extends fc.Arbitrary<infer E> ? E : never): void {
  if ('group' in change) {
    const { groups } = config.role_bindings as { groups: Record<string, Record<string, unknown>> };
    const of = groups[ISSUER] ?? {};
    if (change.rows.length === 0) delete of[change.group];
    else of[change.group] = change.rows;
    return;
  }
  const row = (config.operations as Record<string, { roles: { any: string[] } }>)[change.operation];
  if (row === undefined) throw new Error('no such operation');
  row.roles.any = row.roles.any.includes(change.role)
    ? row.roles.any.filter((role) => role !== change.role)
    : [...row.roles.any, change.role];
}

let shipped: Policy;

beforeAll(async () => {
  shipped = await policyOf(SHIPPED);
});

describe('the difference of access', () => {
  it('is what an oracle finds that asks about everybody, everything and everywhere', async () => {
    let differences = 0;
    const asItWas = new Map<string, boolean>();
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        const candidate = await shippedWith((config) => {
          for (const one of edits) carryOut(config, one);
        });
        const report = await compareAccess(comparing({ active: shipped, candidate }), PEOPLE);
        const wrong: unknown[] = [];
        for (const who of PEOPLE) {
          const name = who.person ?? '';
          const checks = [
            ...PLAIN.map((operation) => ({
              right: [operation, null, null, null],
              of: ask(operation, who, {}),
            })),
            ...PLACED.flatMap((asked) =>
              ENVIRONMENTS.flatMap((environment) =>
                NAMESPACES.map((namespace) => ({
                  right: [asked[0], asked[1], environment, namespace],
                  of: questionIn(asked, who, environment, namespace),
                })),
              ),
            ),
          ];
          for (const { right, of } of checks) {
            const key = JSON.stringify([name, right]);
            const was = asItWas.get(key) ?? may(shipped, of);
            asItWas.set(key, was);
            const is = may(candidate, of);
            differences += Number(was !== is);
            const found = SIDES.map((side) => isListed(report, side, name, right));
            if (String(found) !== String([is && !was, was && !is]))
              wrong.push({ name, right, was, is, found });
          }
        }
        expect(wrong).toEqual([]);
      }),
      { numRuns: 6, seed: 20_261_118 },
    );
    expect(differences).toBeGreaterThan(100);
  }, 240_000);
});
