import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import { dataFaults } from '../../src/policy/data-faults.ts';
import { withConfig } from '../support/activation.ts';
import { readFixtureBundle } from '../support/bundles.ts';

// biome-ignore lint/suspicious/noExplicitAny: the cases put anything anywhere.
type Loose = any;

let shipped: Buffer;
let data: unknown;

beforeAll(async () => {
  shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  ({ data } = await readBundle(shipped));
});

/** The faults of the shipped data after an edit. */
function faultsAfter(edit: (config: Loose) => void): Record<string, string> {
  const edited = structuredClone(data) as Loose;
  edit(edited.config);
  return Object.fromEntries(dataFaults(edited).map(({ pointer, detail }) => [pointer, detail]));
}

const WINDOW = '/config/windows/business-hours-berlin';
const BLACKOUT = '/config/blackouts/year-end-2025';
const RULE = '/config/tiers/high-risk/production/raise';
const window = (config: Loose) => config.windows['business-hours-berlin'];
const blackout = (config: Loose) => config.blackouts['year-end-2025'];
const ruleOf = (config: Loose) => config.tiers['high-risk'].production.raise;
const groupsOf = (config: Loose): Loose => Object.values(config.role_bindings.groups)[0];

const CASES: Record<string, [edit: (config: Loose) => void, pointer: string, says: RegExp]> = {
  'a quorum of zero': [
    (config) => Object.assign(ruleOf(config).approvals, { 'flag-approver': 0 }),
    `${RULE}/approvals/flag-approver`,
    /at least 1 approval.*leave the role out; got 0/,
  ],
  'a quorum of half a person': [
    (config) => Object.assign(config.new_flags.sensitive.approvals, { 'flag-approver': 0.5 }),
    '/config/new_flags/sensitive/approvals/flag-approver',
    /whole number/,
  ],
  'a misspelled requirement': [
    (config) => Object.assign(ruleOf(config), { tickets: true }),
    `${RULE}/tickets`,
    /did you mean ticket/,
  ],
  'a requirement left out': [(config) => delete ruleOf(config).sign_in, `${RULE}/sign_in`, /it is missing/],
  'roles that exclude each other, one of them misspelled': [
    (config) => Object.assign(config, { exclusive_roles: [['flag-deployer', 'flag-aprover']] }),
    '/config/exclusive_roles/0/1',
    /no operation names the role "flag-aprover", so it excludes nothing/,
  ],
  'a role that excludes itself': [
    (config) => Object.assign(config, { exclusive_roles: [['flag-deployer', 'flag-deployer']] }),
    '/config/exclusive_roles/0',
    /name each role once/,
  ],
  'a role that excludes nothing': [
    (config) => Object.assign(config, { exclusive_roles: [['flag-deployer']] }),
    '/config/exclusive_roles/0',
    /./,
  ],
  'an unknown zone': [
    (config) => config.zones.push('Europe/Atlantis'),
    '/config/zones/2',
    /does not know "Europe\/Atlantis"/,
  ],
  'a window in a zone that is not listed': [
    (config) => Object.assign(window(config), { zone: 'Europe/Berln' }),
    `${WINDOW}/zone`,
    /"Europe\/Berln" is not in `zones`/,
  ],
  'a calendar that does not exist': [
    (config) => Object.assign(window(config), { holidays: ['germnay'] }),
    `${WINDOW}/holidays/0`,
    /no calendar "germnay"/,
  ],
  'a holiday that is no date': [
    (config) => Object.assign(config.holidays.germany, { '2026-02-29': 'Leap day' }),
    '/config/holidays/germany/2026-02-29',
    /./,
  ],
  'a blackout that ends before it starts': [
    (config) => Object.assign(blackout(config).end, { date: '2025-12-19' }),
    BLACKOUT,
    /end is not after the start/,
  ],
  'a blackout without a reason': [
    (config) => delete blackout(config).reason,
    `${BLACKOUT}/reason`,
    /it is missing/,
  ],
  'a blackout with a misspelled scope': [
    (config) => Object.assign(blackout(config), { namespace: ['payments'] }),
    `${BLACKOUT}/namespace`,
    /did you mean namespaces/,
  ],
  'a blackout in a zone that is not listed': [
    (config) => Object.assign(blackout(config), { zone: 'Europe/Paris' }),
    `${BLACKOUT}/zone`,
    /every write is denied/,
  ],
  'a blackout of a kind of environment that is none': [
    (config) => Object.assign(blackout(config), { environments: ['prodcution'] }),
    `${BLACKOUT}/environments/0`,
    /no environment is of kind "prodcution"/,
  ],
  'a blackout of a kind of requests that is none': [
    (config) => Object.assign(blackout(config), { request_kinds: ['policy.change'] }),
    `${BLACKOUT}/request_kinds/0`,
    /no kind of requests "policy.change"/,
  ],
  'a blackout that excepts a tier that is none': [
    (config) => Object.assign(blackout(config), { except_tiers: ['low'] }),
    `${BLACKOUT}/except_tiers/0`,
    /informational/,
  ],
  'a blackout from a time that summer time skips': [
    (config) =>
      Object.assign(blackout(config), {
        start: { date: '2026-03-29', hour: 2, minute: 30 },
        end: { date: '2026-03-30', hour: 0, minute: 0 },
      }),
    `${BLACKOUT}/start`,
    /clocks of Europe\/Berlin change then, so this time does not exist/,
  ],
  'a blackout until a time that the change back repeats': [
    (config) => Object.assign(blackout(config), { end: { date: '2026-10-25', hour: 2, minute: 59 } }),
    `${BLACKOUT}/end`,
    /comes twice/,
  ],
  'a misspelled window': [
    (config) => Object.assign(ruleOf(config), { windows: ['bussiness-hours'] }),
    `${RULE}/windows/0`,
    /no window "bussiness-hours"/,
  ],
  'a misspelled window of a kind of request': [
    (config) => config.request_kinds['freeze.lift'].rule.windows.push('never'),
    '/config/request_kinds/freeze.lift/rule/windows/0',
    /no window "never"/,
  ],
  'an hour as text': [
    (config) => Object.assign(window(config).start, { hour: '09' }),
    `${WINDOW}/start/hour`,
    /from 0 to 23; got "09"/,
  ],
  'an hour that no day has': [
    (config) => Object.assign(window(config), { end: { hour: 24, minute: 30 } }),
    `${WINDOW}/end`,
    /nothing is later than hour 24/,
  ],
  'a window without a minute': [
    (config) => delete window(config).end.minute,
    `${WINDOW}/end/minute`,
    /from 0 to 59; it is missing/,
  ],
  'names of days': [
    (config) => Object.assign(window(config), { days: ['Monday'] }),
    `${WINDOW}/days/0`,
    /from 1 to 7; got "Monday"/,
  ],
  'a window without days': [
    (config) => Object.assign(window(config), { days: [] }),
    `${WINDOW}/days`,
    /non-empty list/,
  ],
  'a window that ends when it starts': [
    (config) => Object.assign(window(config), { end: { hour: 9, minute: 0 } }),
    WINDOW,
    /start and end are the same/,
  ],
  'a tier without rules': [
    (config) => delete config.tiers.sensitive,
    '/config/tiers/sensitive',
    /it is missing/,
  ],
  'a tier without rules for a kind of environment': [
    (config) => Object.assign(config.environments, { canary: { kind: 'canary' } }),
    '/config/tiers/sensitive/canary',
    /no rules for environments of kind "canary"/,
  ],
  'a tier with a misspelled kind of environment': [
    (config) => {
      config.tiers.sensitive.prodction = config.tiers.sensitive.production;
      delete config.tiers.sensitive.production;
    },
    '/config/tiers/sensitive/production',
    /no rules for environments of kind "production"/,
  ],
  'single users without approvals': [
    (config) => delete config.exceptions['*'].production,
    '/config/exceptions/*/production',
    /no approvals for single users in environments of kind "production"/,
  ],
  'a floor of an unknown tier': [
    (config) => Object.assign(config.tier_floors['*'].entitlement, { '*': 'sensitve' }),
    '/config/tier_floors/*/entitlement/*',
    /one of informational/,
  ],
  'a floor for an unknown kind of flag': [
    (config) => Object.assign(config.tier_floors['*'], { entitlements: { '*': 'sensitive' } }),
    '/config/tier_floors/*/entitlements',
    /entitlement/,
  ],
  'a floor for an unknown kind of environment': [
    (config) => Object.assign(config.tier_floors['*'].entitlement, { prod: 'sensitive' }),
    '/config/tier_floors/*/entitlement/prod',
    /use one of \*,.*production/,
  ],
  'new flags of a tier without approvals': [
    (config) => delete config.new_flags['high-risk'],
    '/config/new_flags/high-risk',
    /it is missing/,
  ],
  'a role that nobody has': [
    (config) => delete groupsOf(config).security,
    `${RULE}/approvals/security-approver`,
    /no binding grants "security-approver" to a person in production.*nobody could approve/,
  ],
  'a role that nobody has in production': [
    (config) => Object.assign(groupsOf(config).security[0], { environments: ['staging'] }),
    `${RULE}/approvals/security-approver`,
    /to a person in production/,
  ],
  'a role that only a pipeline has': [
    (config) => {
      const [bound] = groupsOf(config).security;
      delete groupsOf(config).security;
      config.role_bindings.trust_rules['payments-deploy'].push(bound);
    },
    `${RULE}/approvals/security-approver`,
    /to a person/,
  ],
  'a role that nobody has everywhere': [
    (config) => {
      for (const group of ['security', 'responders']) {
        Object.assign(groupsOf(config)[group][0], { namespaces: ['payments'] });
      }
    },
    '/config/request_kinds/revocation.lift/rule/approvals/security-approver',
    /to a person everywhere/,
  ],
  'a misspelled role of a binding': [
    (config) => groupsOf(config).auditors[0].roles.push('flag-auditr'),
    `/config/role_bindings/groups/http:~1~1127.0.0.1:9401/auditors/0/roles/2`,
    /no operation names the role "flag-auditr"/,
  ],
  'a binding to an unknown environment': [
    (config) => Object.assign(groupsOf(config).auditors[0], { environments: ['prod'] }),
    `/config/role_bindings/groups/http:~1~1127.0.0.1:9401/auditors/0/environments/0`,
    /no environment "prod"/,
  ],
  'a binding that covers nothing': [
    (config) => Object.assign(groupsOf(config).auditors[0], { namespaces: [] }),
    `/config/role_bindings/groups/http:~1~1127.0.0.1:9401/auditors/0/namespaces`,
    /non-empty list/,
  ],
  'a binding of an unknown trust rule': [
    (config) => Object.assign(config.role_bindings.trust_rules, { gone: [] }),
    '/config/role_bindings/trust_rules/gone',
    /no trust rule/,
  ],
  'a kind of request without a place': [
    (config) => delete config.request_kinds['freeze.lift'].place,
    '/config/request_kinds/freeze.lift/place',
    /one of object, everywhere/,
  ],
  'a kind of request for changes of flags': [
    (config) => Object.assign(config.request_kinds, { 'flag.change': config.request_kinds['freeze.lift'] }),
    '/config/request_kinds/flag.change',
    /governed by `tiers`/,
  ],
  'roles for a misspelled operation': [
    (config) => Object.assign(config.request_kinds['freeze.lift'].roles, { 'request.aprove': ['x'] }),
    '/config/request_kinds/freeze.lift/roles/request.aprove',
    /no operation with this name/,
  ],
  'the lifetime of a misspelled operation': [
    (config) => Object.assign(config.token_lifetimes.operations, { 'flag.raed': 60 }),
    '/config/token_lifetimes/operations/flag.raed',
    /no operation with this name/,
  ],
  'a lifetime of zero': [
    (config) => Object.assign(config.token_lifetimes, { default: 0 }),
    '/config/token_lifetimes/default',
    /at least 1; got 0/,
  ],
  'a pattern of tickets that is not anchored': [
    (config) => Object.assign(config.tickets, { pattern: '[A-Z]+-[0-9]+' }),
    '/config/tickets/pattern',
    /\^/,
  ],
  'no time to live of requests': [
    (config) => delete config.limits.request_ttl_s,
    '/config/limits/request_ttl_s',
    /it is missing/,
  ],
  'an alias that no one signs in with': [
    (config) => Object.assign(config.persons, { 'GitHub:1': 'emp-1' }),
    '/config/persons',
    /github:1/,
  ],
  'a protected organization without a reason': [
    (config) => Object.assign(config.protected_organizations, { acme: ' ' }),
    '/config/protected_organizations/acme',
    /write the reason/,
  ],
  'an unknown version of the input': [
    (config) => Object.assign(config, { input_version: 9 }),
    '/config/input_version',
    /got 9/,
  ],
};

describe('the data of a new bundle', () => {
  it('has no faults as it is shipped', () => {
    expect(dataFaults(data)).toEqual([]);
  });

  it.each(Object.keys(CASES))('is refused with %s, and says where and what to do', (name) => {
    const [edit, pointer, says] = CASES[name] ?? [() => undefined, '', /never/];
    expect(faultsAfter(edit)[pointer]).toMatch(says);
  });

  it('is refused with all its faults at once', async () => {
    const faulty = await withConfig(shipped, (config: Loose) => {
      window(config).start.hour = '09';
      ruleOf(config).approvals['flag-approver'] = 0;
      config.zones.push('Nowhere');
    });
    const said = await readBundle(faulty).catch((error: Error) => error.message);
    for (const pointer of [`${WINDOW}/start/hour`, `${RULE}/approvals/flag-approver`, '/config/zones/2']) {
      expect(said).toContain(`${pointer}: `);
    }
  });

  it('is refused with no more than 50 faults, however many it has', () => {
    const edit = (config: Loose) => {
      config.windows = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`window-${at}`, {}]));
    };
    expect(Object.keys(faultsAfter(edit))).toHaveLength(50);
  });

  it.each([null, [], 7, {}, { config: null }])('is refused if it is %j', (other) => {
    expect(dataFaults(other)).not.toEqual([]);
  });

  it('may have other folders, and leave out all but the environments', async () => {
    for (const name of ['anybody', 'echo'] as const) {
      await expect(readBundle(await readFixtureBundle(name))).resolves.toBeDefined();
    }
  });
});

describe('the data of a stored bundle', () => {
  it('still decides with faults that were not refused when it was stored', async () => {
    const faulty = await withConfig(shipped, (config: Loose) => {
      ruleOf(config).approvals['flag-approver'] = 0;
    });
    await expect(readBundle(faulty)).rejects.toThrow(/at least 1 approval/);
    await expect(readStoredBundle(faulty)).resolves.toBeDefined();
  });
});
