import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { type Change, changeSchema } from '../../src/flags/changes.ts';
import { type Audience, flagStateSchema } from '../../src/flags/model.ts';
import { initialState, type PlanInput, planChange } from '../../src/flags/plan.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from './samples.ts';

const definition = sampleDefinition();
const flag = definition.key;
const creation = {
  action: 'create',
  flag: 'new-flag',
  definition: {
    namespace: 'checkout',
    kind: 'release',
    tier: 'sensitive',
    owner: 'team-checkout',
    purpose: 'Shows the new page.',
    variants: { on: true, off: false },
    retirement: 'Everybody has it.',
  },
} as const;

function plan(change: unknown, changes: Partial<PlanInput> = {}) {
  return planChange({
    change: changeSchema.parse(change),
    definition,
    state: sampleState(),
    earlier: null,
    now_ms: NOW_MS,
    environment: 'production',
    ...changes,
  });
}

/** The pointer of the refusal. */
function refusalOf(change: unknown, changes: Partial<PlanInput> = {}): string | undefined {
  try {
    plan(change, changes);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    expect(error.code).toBe('invalid_change');
    return error.fields.errors?.[0]?.pointer;
  }
  throw new Error('the change was not refused');
}

const absent = { definition: null, state: null };

function some(...organizations: string[]): Audience {
  return { kind: 'some', organizations, users: [] };
}

describe('creating a flag', () => {
  it('takes the false variant as the safe one and starts disabled', () => {
    const planned = plan(creation, absent);
    expect(planned.definition).toMatchObject({
      key: 'new-flag',
      safe_variant: 'off',
      created_ms: NOW_MS,
      retired: false,
    });
    expect(planned.state).toEqual({
      enabled: false,
      default_variant: 'on',
      audience: { kind: 'all' },
      rules: [],
      rollout: null,
    });
    expect(planned.facts).toMatchObject({ scope: 'definition', direction: 'neutral', audience_grew: false });
    expect(planned.before).toBeNull();
  });

  it('reads an ISO date as the start of that day in UTC', () => {
    const planned = plan(
      { ...creation, definition: { ...creation.definition, expires: '2027-01-01' } },
      absent,
    );
    expect(planned.definition?.expires_ms).toBe(Date.UTC(2027, 0, 1));
  });

  it.each([
    ['an expiry in the past', { expires: '2020-01-01' }, '#/definition/expires'],
    ['two expiries', { expires: '2027-01-01', expires_ms: NOW_MS + 1 }, '#/definition/expires'],
    ['an entitlement without a contract', { kind: 'entitlement' }, '#/definition/contract'],
    ['no evident safe variant', { variants: { a: 'x', b: 'y' } }, '#/definition/safe_variant'],
    ['an unknown safe variant', { safe_variant: 'none' }, '#/definition/safe_variant'],
    ['an inherited name as the safe variant', { safe_variant: 'toString' }, '#/definition/safe_variant'],
    ['an unknown default variant', { default_variant: 'none' }, '#/definition/default_variant'],
    [
      'three variants and no default variant',
      { variants: { a: 1, b: 2, c: 3 }, safe_variant: 'a' },
      '#/definition/default_variant',
    ],
    ['more than 32 KiB', { variants: { off: 'x'.repeat(33_000), on: 'y' } }, '#/definition'],
  ])('refuses %s', (_what, changes, pointer) => {
    expect(refusalOf({ ...creation, definition: { ...creation.definition, ...changes } }, absent)).toBe(
      pointer,
    );
  });

  it('refuses a key that is taken, also by a retired flag', () => {
    expect(refusalOf(creation)).toBe('#/flag');
    expect(refusalOf(creation, { definition: sampleDefinition({ retired: true }) })).toBe('#/flag');
  });

  it('has no initial state for a variant that does not exist', () => {
    expect(() => initialState(definition, 'none')).toThrow(BrokerError);
  });
});

describe('any change of a flag', () => {
  const changes: Change[] = [
    { action: 'enable', flag },
    { action: 'disable', flag },
    { action: 'retire', flag },
    { action: 'update', flag, set: { owner: 'other' } },
    { action: 'set_audience', flag, audience: { kind: 'none' } },
    { action: 'set_rollout', flag, default_variant: 'alt' },
    { action: 'return_to_version', flag, version: 1 },
  ];

  it.each(changes)('is refused when the flag does not exist or is retired: $action', (change) => {
    expect(refusalOf(change, absent)).toBe('#/flag');
    expect(refusalOf(change, { definition: sampleDefinition({ retired: true }) })).toBe('#/flag');
  });

  it.each([
    { action: 'enable', flag },
    { action: 'update', flag, set: { owner: definition.owner } },
    { action: 'update', flag, set: {} },
    { action: 'set_audience', flag, audience: { kind: 'all' } },
    { action: 'set_rollout', flag },
  ])('is refused when nothing would change: $action', (change) => {
    expect(refusalOf(change)).toBe('#');
  });

  it('starts from the initial state in an environment that came after the flag', () => {
    const two = sampleDefinition({ variants: { off: false, on: true } });
    const enabled = (changes: Partial<PlanInput>) =>
      plan({ action: 'enable', flag }, { state: null, ...changes });
    expect(enabled({ definition: two }).facts).toMatchObject({ direction: 'on', audience_grew: true });
    expect(enabled({ definition: two }).before).toEqual(sampleState({ enabled: false }));
    expect(enabled({}).facts.direction).toBe('neutral');
    expect(enabled({}).state?.default_variant).toBe('off');
  });

  it('leaves its inputs as they were, so that changes can be planned one after the other', () => {
    const frozen = Object.freeze(sampleState({ enabled: false }));
    const first = plan({ action: 'enable', flag }, { state: frozen });
    const second = plan({ action: 'set_rollout', flag, default_variant: 'alt' }, { state: first.state });
    expect(second.state).toEqual(sampleState({ default_variant: 'alt' }));
    expect(frozen.enabled).toBe(false);
  });
});

describe('updating a definition', () => {
  it.each([
    ['the type of the variants', { variants: { off: 1, on: 2, alt: 3 } }, '#/set/variants'],
    ['a variant away that the state serves', { variants: { off: 'old', alt: 'newer' } }, '#/set/variants'],
    ['the expiry into the past', { expires_ms: NOW_MS }, '#/set/expires'],
    ['the kind to entitlement without a contract', { kind: 'entitlement' }, '#/set/contract'],
    ['the safe variant to an unknown one', { safe_variant: 'none' }, '#/set/safe_variant'],
  ])('refuses to change %s', (_what, set, pointer) => {
    expect(refusalOf({ action: 'update', flag, set })).toBe(pointer);
  });

  it('looks for variants in use in all states that it is given, rules and rollouts too', () => {
    const serving = sampleState({
      rules: [
        {
          name: 'r',
          when: [{ attribute: 'plan', operator: 'equals', values: ['x'] }],
          serve: { rollout: [{ variant: 'alt', percent: 100 }] },
        },
      ],
    });
    const change = { action: 'update', flag, set: { variants: { off: 'old', on: 'new' } } };
    expect(refusalOf(change, { states_in_use: [serving] })).toBe('#/set/variants');
    expect(plan(change).facts.direction).toBe('neutral');
  });

  it('tells a lowered tier, and only a lowered one', () => {
    const tierOf = (from: 'sensitive' | 'operational', tier: string) =>
      plan({ action: 'update', flag, set: { tier } }, { definition: sampleDefinition({ tier: from }) }).facts;
    expect(tierOf('sensitive', 'informational').tier_lowered_from).toBe('sensitive');
    expect(tierOf('operational', 'high-risk').tier_lowered_from).toBeNull();
  });

  it('names the organizations of every environment when what is served changes or the tier is lowered', () => {
    const state = sampleState({ enabled: false, audience: some('acme') });
    const elsewhere = sampleState({
      audience: some('globex'),
      rules: [
        {
          name: 'r',
          when: [{ attribute: 'organization', operator: 'in', values: ['initech'] }],
          serve: { variant: 'on' },
        },
      ],
    });
    const addedBy = (set: object) =>
      plan({ action: 'update', flag, set }, { state, states_in_use: [state, elsewhere] }).facts
        .organizations_added;
    const all = ['acme', 'globex', 'initech'];
    expect(addedBy({ variants: { off: 'old', on: 'changed', alt: 'newer' } })).toEqual(all);
    expect(addedBy({ safe_variant: 'alt' })).toEqual(all);
    expect(addedBy({ tier: 'informational' })).toEqual(all);
    expect(addedBy({ tier: 'high-risk' })).toEqual([]);
    expect(addedBy({ owner: 'other' })).toEqual([]);
  });

  it('calls it an entitlement before or after', () => {
    const entitlement = sampleDefinition({ kind: 'entitlement', contract: 'C-1' });
    expect(
      plan({ action: 'update', flag, set: { kind: 'release' } }, { definition: entitlement }).facts
        .entitlement,
    ).toBe(true);
    expect(
      plan({ action: 'update', flag, set: { kind: 'entitlement', contract: 'C-1' } }).facts.entitlement,
    ).toBe(true);
  });

  it.each([
    ['another safe variant', { safe_variant: 'on' }],
    ['another value of the safe variant', { variants: { off: 'new', on: 'new', alt: 'newer' } }],
    ['another value of a served variant', { variants: { off: 'old', on: 'changed', alt: 'newer' } }],
  ])('is widen for %s, because it may give anybody anything', (_what, set) => {
    expect(plan({ action: 'update', flag, set }).facts).toMatchObject({
      direction: 'widen',
      audience_grew: true,
    });
  });

  it('keeps what is not named', () => {
    const { definition: after } = plan(
      { action: 'update', flag, set: { owner: 'other', expires: null } },
      {
        definition: sampleDefinition({ expires_ms: NOW_MS + 1 }),
      },
    );
    expect(after).toEqual(sampleDefinition({ owner: 'other', expires_ms: null }));
  });
});

describe('setting the audience', () => {
  const setAudience = (organizations: string[], users: unknown[] = []) => ({
    action: 'set_audience',
    flag,
    audience: { kind: 'some', organizations, users },
  });

  it('sorts both lists, so that equal audiences are equal documents', () => {
    const users = ['zoe', 'ann'].map((id) => ({ id, exception: exceptionUntil(NOW_MS + 1) }));
    const { audience } = flagStateSchema.parse(plan(setAudience(['b', 'a', 'B'], users)).state);
    expect(audience).toMatchObject({ organizations: ['B', 'a', 'b'], users: [{ id: 'ann' }, { id: 'zoe' }] });
  });

  it('refuses nobody, somebody twice, and an exception that is over', () => {
    const ann = (untilMs: number) => ({ id: 'ann', exception: exceptionUntil(untilMs) });
    expect(refusalOf(setAudience([]))).toBe('#/audience');
    expect(refusalOf(setAudience(['a', 'a']))).toBe('#/audience/organizations/1');
    expect(refusalOf(setAudience([], [ann(NOW_MS + 1), ann(NOW_MS + 2)]))).toBe('#/audience/users/1');
    expect(refusalOf(setAudience([], [ann(NOW_MS)]))).toBe('#/audience/users/0/exception/until_ms');
  });
});

describe('setting rules and rollouts', () => {
  const rule = (when: unknown, serve: unknown = { variant: 'on' }, name = 'rule') => ({
    name,
    when: [when],
    serve,
  });
  const gold = { attribute: 'plan', operator: 'equals', values: ['gold'] };

  it.each([
    ['percentages below 100', { rollout: [{ variant: 'on', percent: 99.999 }] }, '#/rollout'],
    [
      'percentages above 100',
      {
        rollout: [
          { variant: 'on', percent: 60 },
          { variant: 'off', percent: 41 },
        ],
      },
      '#/rollout',
    ],
    [
      'one variant twice',
      {
        rollout: [
          { variant: 'on', percent: 50 },
          { variant: 'on', percent: 50 },
        ],
      },
      '#/rollout/1/variant',
    ],
    ['an unknown variant', { rollout: [{ variant: 'none', percent: 100 }] }, '#/rollout/0/variant'],
    ['an inherited name as a variant', { default_variant: 'valueOf' }, '#/default_variant'],
    ['an unknown variant in a rule', { rules: [rule(gold, { variant: 'none' })] }, '#/rules/0/serve/variant'],
    [
      'a rule for a single user',
      { rules: [rule({ ...gold, attribute: 'targetingKey' })] },
      '#/rules/0/when/0/attribute',
    ],
    ['two rules of one name', { rules: [rule(gold), rule(gold)] }, '#/rules/1/name'],
    ['an order on texts', { rules: [rule({ ...gold, operator: 'less_than' })] }, '#/rules/0/when/0/values'],
    [
      'a prefix that is a number',
      { rules: [rule({ ...gold, operator: 'starts_with', values: [1] })] },
      '#/rules/0/when/0/values',
    ],
  ])('refuses %s', (_what, change, pointer) => {
    expect(refusalOf({ action: 'set_rollout', flag, ...change })).toBe(pointer);
  });

  it('refuses more shares than facts can compare in a moment', () => {
    const names = Array.from({ length: 50 }, (_, index) => `v${index}`);
    const wide = sampleDefinition({
      variants: Object.fromEntries(names.map((name) => [name, name])),
      safe_variant: 'v0',
    });
    const rollout = names.map((variant) => ({ variant, percent: 2 }));
    const wideRules = (count: number) =>
      Array.from({ length: count }, (_, index) => rule(gold, { rollout }, `rule ${index}`));
    const state = sampleState({ default_variant: 'v1' });
    const change = (count: number) => ({ action: 'set_rollout', flag, rules: wideRules(count) });
    expect(refusalOf(change(11), { definition: wide, state })).toBe('#');
    expect(plan(change(10), { definition: wide, state }).state?.rules).toHaveLength(10);
  });

  it('sums thousandths without rounding errors', () => {
    const percents = [33.333, 33.333, 33.334];
    const rollout = ['off', 'on', 'alt'].map((variant, index) => ({ variant, percent: percents[index] }));
    expect(plan({ action: 'set_rollout', flag, rollout }).state?.rollout).toEqual(rollout);
  });
});

describe('returning to a version', () => {
  it('tells the version and what going back does', () => {
    const earlier = sampleState({ enabled: false });
    const planned = plan({ action: 'return_to_version', flag, version: 3 }, { earlier });
    expect(planned.state).toEqual(earlier);
    expect(planned.facts).toMatchObject({ returns_to: 3, direction: 'off', audience_grew: false });
  });

  it('refuses a version that does not exist or serves a variant that is gone', () => {
    const change = { action: 'return_to_version', flag, version: 3 };
    expect(refusalOf(change)).toBe('#/version');
    expect(refusalOf(change, { earlier: sampleState({ default_variant: 'gone' }) })).toBe(
      '#/default_variant',
    );
  });
});

describe('the facts of everyday changes', () => {
  const on = sampleState();
  const off = sampleState({ enabled: false });
  const acme = sampleState({ audience: some('acme') });

  it('calls enabling on and disabling off, with the organizations that it reaches', () => {
    const enabled = plan({ action: 'enable', flag }, { state: { ...acme, enabled: false } }).facts;
    expect(enabled).toMatchObject({ direction: 'on', audience_grew: true, organizations_added: ['acme'] });
    const disabled = plan({ action: 'disable', flag }, { state: acme }).facts;
    expect(disabled).toMatchObject({
      direction: 'off',
      audience_grew: false,
      organizations_removed: ['acme'],
    });
  });

  it('switches off even a state that would not be accepted today', () => {
    const odd = sampleState({ default_variant: 'gone' });
    expect(plan({ action: 'disable', flag }, { state: odd }).state?.enabled).toBe(false);
  });

  it('calls enabling neutral when only the safe variant would be served', () => {
    const facts = plan({ action: 'enable', flag }, { state: { ...off, default_variant: 'off' } }).facts;
    expect(facts).toMatchObject({ direction: 'neutral', audience_grew: false });
  });

  it('calls a swap of two variants for the same people widen, not grown', () => {
    const facts = plan({ action: 'set_rollout', flag, default_variant: 'alt' }).facts;
    expect(facts).toMatchObject({ direction: 'widen', audience_grew: false, default_changed: true });
  });

  it('names the organizations that are served another variant, though all of them saw one before', () => {
    const facts = plan({ action: 'set_rollout', flag, default_variant: 'alt' }, { state: acme }).facts;
    expect(facts).toMatchObject({ direction: 'widen', organizations_added: ['acme'] });
  });

  it('calls fewer percent narrow when the buckets that stay are the same, and widen when they are others', () => {
    const rollout = [
      { variant: 'on', percent: 50 },
      { variant: 'off', percent: 50 },
    ];
    const fewer = (shares: unknown) =>
      plan({ action: 'set_rollout', flag, rollout: shares }, { state: sampleState({ rollout }) }).facts;
    expect(
      fewer([
        { variant: 'on', percent: 10 },
        { variant: 'off', percent: 90 },
      ]),
    ).toMatchObject({ direction: 'narrow', audience_grew: false });
    // The other way round they are the same: the order of two shares stays.
    expect(
      fewer([
        { variant: 'off', percent: 90 },
        { variant: 'on', percent: 10 },
      ]),
    ).toMatchObject({ direction: 'narrow', audience_grew: false });
    expect(
      fewer([
        { variant: 'off', percent: 90 },
        { variant: 'on', percent: 10 },
        { variant: 'alt', percent: 0 },
      ]),
    ).toMatchObject({ direction: 'widen', audience_grew: true });
  });

  it('does not count a full rollout as the same as a default: without an organization there is no bucket', () => {
    const rollout = [{ variant: 'on', percent: 100 }];
    expect(plan({ action: 'set_rollout', flag, rollout }).facts.direction).toBe('narrow');
    expect(
      plan({ action: 'set_rollout', flag, rollout: null }, { state: sampleState({ rollout }) }).facts
        .direction,
    ).toBe('widen');
  });

  it('counts a prolonged exception as growth', () => {
    const until = (untilMs: number) => ({
      kind: 'some' as const,
      organizations: [],
      users: [{ id: 'ann', exception: exceptionUntil(untilMs) }],
    });
    const facts = plan(
      { action: 'set_audience', flag, audience: until(NOW_MS + 20) },
      { state: sampleState({ audience: until(NOW_MS + 10) }) },
    ).facts;
    expect(facts).toMatchObject({
      direction: 'widen',
      audience_grew: true,
      users_added: ['ann'],
      exception_used: true,
    });
  });

  it('calls retiring off when any known state exposes someone, else neutral', () => {
    const retire = { action: 'retire', flag };
    expect(plan(retire, { state: off }).facts.direction).toBe('neutral');
    expect(plan(retire, { state: off, states_in_use: [acme] }).facts).toMatchObject({
      direction: 'off',
      organizations_removed: ['acme'],
    });
    expect(plan(retire, { state: on }).definition?.retired).toBe(true);
  });
});
