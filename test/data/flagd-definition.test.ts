import { FlagdCore } from '@openfeature/flagd-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EvaluationContext } from '../../src/data/conditions.ts';
import { evaluate } from '../../src/data/evaluate.ts';
import { flagdDefinition } from '../../src/data/flagd-definition.ts';
import type { Audience, Condition, FlagState, Rollout, Rule } from '../../src/flags/model.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';

const definition = sampleDefinition();
const complaints: unknown[] = [];
const complain = (...text: unknown[]) => complaints.push(text);
const logger = { error: complain, warn: complain, info: () => undefined, debug: () => undefined };

/** flagd's own evaluator of a state. Its clock is that of the process. */
function flagd(state: FlagState): (context: EvaluationContext) => { value: unknown; variant: unknown } {
  const core = new FlagdCore(undefined, logger, { disableDynamicCodeGeneration: true });
  const flag = flagdDefinition({ definition, state, version: 3 });
  core.setConfigurations(JSON.stringify({ flags: { [definition.key]: flag } }));
  return (context) => {
    const { value, variant } = core.resolveStringEvaluation(definition.key, 'CODE', context as never);
    return { value, variant };
  };
}

function expectSame(state: FlagState, contexts: readonly EvaluationContext[]): void {
  const asked = flagd(state);
  for (const context of contexts) {
    const { value, variant } = evaluate({ definition, state, context, now_ms: Date.now() });
    expect(asked(context), JSON.stringify(context)).toEqual({ value, variant });
  }
}

const ORGANIZATIONS = ['acme', 'org-1', 'org-2', 'org-3', '0', '-', 'true', '[object Object]'];
const USERS = ['ann', 'bob', 'eve'];

const scalar = fc.oneof(
  fc.constantFrom<string | number | boolean>(
    'gold',
    '',
    'go',
    '5',
    '-',
    'null',
    'true',
    '1e3',
    5,
    0,
    -1.5,
    2 ** 53,
    1e21,
    true,
    false,
  ),
  fc.string({ maxLength: 4 }),
);

const anything = fc.oneof(
  { weight: 4, arbitrary: scalar },
  fc.array(fc.oneof(scalar, fc.constant(null), fc.array(scalar, { maxLength: 2 })), { maxLength: 3 }),
  fc.constantFrom<unknown>(null, {}, { plan: 'gold' }, { length: 1 }, [{}], [[]]),
);

/** Names that every object of the language has, besides ordinary ones. */
const attribute = fc.constantFrom(
  'plan',
  'seats',
  'organization',
  'targetingKey',
  'toString',
  'valueOf',
  'length',
);

const condition: fc.Arbitrary<Condition> = fc.record({
  attribute,
  operator: fc.constantFrom<Condition['operator']>(
    'equals',
    'not_equals',
    'in',
    'not_in',
    'starts_with',
    'ends_with',
    'contains',
    'less_than',
    'less_or_equal',
    'greater_than',
    'greater_or_equal',
  ),
  values: fc.array(scalar, { minLength: 1, maxLength: 3 }),
});

const rollout: fc.Arbitrary<Rollout> = fc
  .tuple(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 100_000 }))
  .map(([one, other]) => {
    const [low, high] = [Math.min(one, other), Math.max(one, other)];
    const weights = [low, high - low, 100_000 - high];
    return ['off', 'on', 'alt'].map((variant, place) => ({ variant, percent: (weights[place] ?? 0) / 1000 }));
  });

const variant = fc.constantFrom('off', 'on', 'alt');

const rule: fc.Arbitrary<Rule> = fc.record({
  name: fc.constant('rule'),
  when: fc.array(condition, { minLength: 1, maxLength: 2 }),
  serve: fc.oneof(
    variant.map((name) => ({ variant: name })),
    rollout.map((shares) => ({ rollout: shares })),
  ),
});

const audience: fc.Arbitrary<Audience> = fc.oneof(
  fc.constantFrom<Audience>({ kind: 'all' }, { kind: 'none' }),
  fc
    .tuple(
      fc.subarray(ORGANIZATIONS.slice(0, 5)),
      fc.subarray(USERS),
      fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    )
    .map(
      ([organizations, users, over]): Audience => ({
        kind: 'some',
        organizations: organizations.toSorted(),
        users: users.map((id, place) => ({
          id,
          exception: exceptionUntil(Date.now() + (over[place] ? -60_000 : 3_600_000)),
        })),
      }),
    ),
);

const state: fc.Arbitrary<FlagState> = fc.record({
  enabled: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  default_variant: variant,
  audience,
  rules: fc.array(rule, { maxLength: 3 }),
  rollout: fc.option(rollout),
});

const context: fc.Arbitrary<EvaluationContext> = fc.record(
  {
    organization: fc
      .oneof({ weight: 4, arbitrary: fc.constantFrom(...ORGANIZATIONS) }, anything)
      .filter(isAscii),
    targetingKey: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...USERS) }, anything),
    plan: anything,
    seats: anything,
    toString: anything,
    valueOf: anything,
    length: anything,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<EvaluationContext>;

function isAscii(value: unknown): boolean {
  return typeof value !== 'string' || /^[\0-\x7f]*$/.test(value);
}

describe('definitions for flagd', () => {
  it('choose the variant that the broker serves, for every state and context', () => {
    fc.assert(fc.property(state, fc.array(context, { minLength: 1, maxLength: 8 }), expectSame), {
      numRuns: 1500,
    });
    expect(complaints).toEqual([]);
  });

  it('choose it for each operator and each type of value', () => {
    const values: unknown[] = [
      'gold',
      '',
      '5',
      5,
      -1.5,
      0,
      1e21,
      true,
      false,
      null,
      [],
      [5],
      ['gold'],
      ['5', 5],
      [[5]],
      {},
      { gold: 1 },
    ];
    fc.assert(
      fc.property(condition, (when) => {
        const rules = [{ name: 'rule', when: [when], serve: { variant: 'alt' } }];
        expectSame(sampleState({ rules }), [{}, ...values.map((value) => ({ [when.attribute]: value }))]);
      }),
      { numRuns: 600 },
    );
    expect(complaints).toEqual([]);
  });

  it('put a thousand organizations into the buckets of the broker', () => {
    const shares = [
      ['on', 12.345],
      ['alt', 0.001],
      ['off', 87.654],
    ] as const;
    const organizations = Array.from({ length: 1000 }, (_, number) => ({ organization: `org-${number}` }));
    expectSame(
      sampleState({ rollout: shares.map(([name, percent]) => ({ variant: name, percent })) }),
      organizations,
    );
  });

  it('serve the safe variant of a flag that is off, and never leave it to the code', () => {
    const off = flagdDefinition({ definition, state: sampleState({ enabled: false }), version: 7 });
    expect(off).toEqual({
      state: 'ENABLED',
      variants: definition.variants,
      defaultVariant: 'off',
      metadata: { version: 7 },
    });
  });

  it('end the exception of a user not after the broker does', () => {
    const users = [{ id: 'ann', exception: exceptionUntil(NOW_MS + 1) }];
    const { targeting } = flagdDefinition({
      definition,
      state: sampleState({ audience: { kind: 'some', organizations: [], users } }),
      version: 1,
    });
    expect(JSON.stringify(targeting)).toContain(
      `{"<":[{"var":"$flagd.timestamp"},${Math.floor((NOW_MS + 1) / 1000)}]}`,
    );
  });

  it('serve the safe variant where nothing names an organization of a rollout', () => {
    const asked = flagd(sampleState({ rollout: [{ variant: 'on', percent: 100 }] }));
    for (const organization of [undefined, null, '', 5, [], ['acme'], {}, 'x'.repeat(256)]) {
      expect(asked(organization === undefined ? {} : { organization }).variant).toBe('off');
    }
    expect(asked({ organization: 'x'.repeat(255) }).variant).toBe('on');
  });
});
