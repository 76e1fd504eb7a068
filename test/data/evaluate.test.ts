import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EvaluationContext } from '../../src/data/conditions.ts';
import { readContext } from '../../src/data/context.ts';
import { evaluate, isContextFree } from '../../src/data/evaluate.ts';
import type { Condition, FlagState } from '../../src/flags/model.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';

const definition = sampleDefinition();

function ask(state: FlagState, context: EvaluationContext = {}, nowMs = NOW_MS) {
  return evaluate({ definition, state, context, now_ms: nowMs });
}

function isMatch(condition: Condition, context: EvaluationContext): boolean {
  const state = sampleState({
    default_variant: 'off',
    rules: [{ name: 'rule', when: [condition], serve: { variant: 'on' } }],
  });
  return ask(state, context).variant === 'on';
}

describe('evaluation', () => {
  it('serves the safe variant of a disabled flag, whatever its rules say', () => {
    expect(ask(sampleState({ enabled: false }))).toEqual({
      value: 'old',
      variant: 'off',
      reason: 'DISABLED',
    });
  });

  it('serves the default variant to everybody as STATIC', () => {
    expect(ask(sampleState())).toEqual({ value: 'new', variant: 'on', reason: 'STATIC' });
  });

  it('serves the default variant as DEFAULT when rules exist and none matches', () => {
    const when: Condition[] = [{ attribute: 'plan', operator: 'equals', values: ['gold'] }];
    const state = sampleState({ rules: [{ name: 'gold', when, serve: { variant: 'alt' } }] });
    expect(ask(state, { plan: 'silver' })).toEqual({ value: 'new', variant: 'on', reason: 'DEFAULT' });
    expect(ask(state)).toMatchObject({ variant: 'on', reason: 'DEFAULT' });
  });

  it('is STATIC only for flags that every context gets alike', () => {
    const plan = fc.constantFrom('gold', 'silver', 'none');
    const state = fc.record({
      audience: fc.constantFrom<FlagState['audience']>(
        { kind: 'all' },
        { kind: 'none' },
        { kind: 'some', organizations: ['acme'], users: [] },
      ),
      rules: fc.array(
        fc.record({
          name: fc.constant('rule'),
          when: fc.array(
            fc.record({
              attribute: fc.constant('plan'),
              operator: fc.constantFrom('equals' as const, 'not_equals' as const),
              values: fc.tuple(plan),
            }),
            { minLength: 1, maxLength: 2 },
          ),
          serve: fc.record({ variant: fc.constantFrom('on', 'alt', 'off') }),
        }),
        { maxLength: 2 },
      ),
      rollout: fc.constantFrom<FlagState['rollout']>(null, [
        { variant: 'on', percent: 50 },
        { variant: 'off', percent: 50 },
      ]),
    });
    const context = fc.record(
      { plan, organization: fc.constantFrom('acme', 'other', 'third') },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(state, fc.array(context, { minLength: 2 }), (parts, contexts) => {
        const answers = contexts.map((one) => ask(sampleState(parts), one));
        if (!answers.some(({ reason }) => reason === 'STATIC')) return;
        for (const answer of answers) expect(answer).toEqual(answers[0]);
      }),
      { numRuns: 1000 },
    );
  });

  it('ignores a malformed string in flags that do not use it, and lets no rule match it', () => {
    const body = Buffer.from('{"context":{"plan":"gold","note":"\\ud800"}}');
    const read = readContext(body);
    expect(read).toEqual({ context: { plan: 'gold', note: null } });
    const context = (read as { context: EvaluationContext }).context;
    expect(isMatch({ attribute: 'plan', operator: 'equals', values: ['gold'] }, context)).toBe(true);
    for (const operator of ['equals', 'not_equals', 'in', 'not_in', 'contains', 'starts_with'] as const) {
      expect(isMatch({ attribute: 'note', operator, values: ['x', '\ud800'] }, context)).toBe(false);
    }
  });

  it('serves the safe variant to an audience of none', () => {
    expect(ask(sampleState({ audience: { kind: 'none' } }))).toMatchObject({
      variant: 'off',
      reason: 'DEFAULT',
    });
  });

  it('finds each of many organizations, and none that is not there', () => {
    const organizations = Array.from({ length: 1001 }, (_, index) => `org-${index * 2}`).sort();
    const state = sampleState({ audience: { kind: 'some', organizations, users: [] } });
    for (const organization of organizations) {
      expect(ask(state, { organization })).toMatchObject({ variant: 'on', reason: 'TARGETING_MATCH' });
    }
    for (const organization of ['org-1', 'org-', 'zzz', '', 'ORG-2', 2, ['org-2'], { id: 'org-2' }]) {
      expect(ask(state, { organization }).variant).toBe('off');
    }
  });

  it('serves a single user up to the end of the exception and not at it', () => {
    const users = [{ id: 'ann', exception: exceptionUntil(NOW_MS + 10) }];
    const state = sampleState({ audience: { kind: 'some', organizations: [], users } });
    expect(ask(state, { targetingKey: 'ann' }, NOW_MS + 9).variant).toBe('on');
    expect(ask(state, { targetingKey: 'ann' }, NOW_MS + 10).variant).toBe('off');
    expect(ask(state, { targetingKey: 'bob' }).variant).toBe('off');
  });

  it('takes the first rule that matches, before the rollout', () => {
    const when: Condition[] = [{ attribute: 'plan', operator: 'equals', values: ['gold'] }];
    const state = sampleState({
      rules: [
        { name: 'first', when, serve: { variant: 'alt' } },
        { name: 'second', when, serve: { variant: 'off' } },
      ],
      rollout: [{ variant: 'on', percent: 100 }],
    });
    expect(ask(state, { plan: 'gold' })).toMatchObject({ variant: 'alt', reason: 'TARGETING_MATCH' });
    expect(ask(state, { organization: 'acme' })).toMatchObject({ variant: 'on', reason: 'SPLIT' });
  });

  it('serves all users of an organization the same share, and the safe variant without an organization', () => {
    const state = sampleState({
      rollout: [
        { variant: 'on', percent: 50 },
        { variant: 'alt', percent: 50 },
      ],
    });
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9]{1,20}$/),
        fc.string(),
        fc.string(),
        (organization, one, other) => {
          expect(ask(state, { organization, targetingKey: one })).toEqual(
            ask(state, { organization, targetingKey: other }),
          );
          expect(ask(state, { organization }).reason).toBe('SPLIT');
        },
      ),
    );
    expect(ask(state, { targetingKey: 'ann' })).toMatchObject({ variant: 'off', reason: 'DEFAULT' });
    expect(ask(state, { organization: 'ümlaut' })).toMatchObject({ variant: 'off', reason: 'DEFAULT' });
  });

  it('gives about the asked share of the organizations', () => {
    const state = sampleState({
      rollout: [
        { variant: 'on', percent: 10 },
        { variant: 'off', percent: 90 },
      ],
    });
    const organizations = Array.from({ length: 10_000 }, (_, index) => `org-${index}`);
    const exposed = organizations.filter(
      (organization) => ask(state, { organization }).variant === 'on',
    ).length;
    expect(exposed).toBeGreaterThan(900);
    expect(exposed).toBeLessThan(1100);
  });

  it('serves the safe variant where a state names a variant that the definition lacks', () => {
    expect(ask(sampleState({ default_variant: 'toString' }))).toMatchObject({ variant: 'off', value: 'old' });
  });

  it('is the same for every context where it says so', () => {
    const free = [
      sampleState(),
      sampleState({ enabled: false }),
      sampleState({ audience: { kind: 'none' } }),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...free), fc.dictionary(fc.string(), fc.jsonValue()), (state, context) => {
        expect(isContextFree(state)).toBe(true);
        expect(ask(state, context)).toEqual(ask(state));
      }),
    );
    expect(isContextFree(sampleState({ rollout: [{ variant: 'on', percent: 100 }] }))).toBe(false);
  });
});

describe('conditions', () => {
  it.each<[Condition['operator'], (string | number | boolean)[], unknown, boolean]>([
    ['equals', ['a'], 'a', true],
    ['equals', ['1'], 1, false],
    ['equals', [true], true, true],
    ['equals', [true], 'true', false],
    ['in', ['a', 'b'], 'b', true],
    ['not_equals', ['a'], 'b', true],
    ['not_equals', ['a'], 'a', false],
    ['not_in', ['a', 'b'], 'c', true],
    ['not_in', ['a'], null, false],
    ['not_in', ['a'], {}, false],
    ['starts_with', ['ab'], 'abc', true],
    ['ends_with', ['x', 'bc'], 'abc', true],
    ['contains', ['b'], 'abc', true],
    ['contains', ['b'], ['a', 'b'], true],
    ['contains', ['b'], ['abc'], false],
    ['contains', [1], '1', false],
    ['less_than', [2], 1, true],
    ['less_than', [2], 2, false],
    ['less_or_equal', [2], 2, true],
    ['greater_than', [2], 3, true],
    ['greater_or_equal', [2], 2, true],
    ['greater_than', [2], '3', false],
    ['starts_with', ['a'], ['a'], false],
  ])('%s %j on %j is %s', (operator, values, actual, expected) => {
    expect(isMatch({ attribute: 'x', operator, values }, { x: actual })).toBe(expected);
  });

  it('are all false for an attribute that is missing or only inherited', () => {
    const context: EvaluationContext = Object.create({ x: 'a' });
    for (const operator of ['equals', 'in', 'not_equals', 'not_in', 'contains', 'starts_with'] as const) {
      expect(isMatch({ attribute: 'x', operator, values: ['a'] }, {})).toBe(false);
      expect(isMatch({ attribute: 'x', operator, values: ['a'] }, context)).toBe(false);
      expect(isMatch({ attribute: 'toString', operator, values: ['a'] }, {})).toBe(false);
    }
  });
});
