import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EvaluationContext } from '../../src/data/conditions.ts';
import { evaluate } from '../../src/data/evaluate.ts';
import { BUCKETS, bucketOf } from '../../src/flags/bucket.ts';
import type { ChangeFacts } from '../../src/flags/change-facts.ts';
import { definitionFacts, stateFacts } from '../../src/flags/facts.ts';
import type { Audience, FlagDefinition, FlagState, Rollout, Rule } from '../../src/flags/model.ts';
import { exceptionUntil, NOW_MS, sampleDefinition } from './samples.ts';

const definition = sampleDefinition();

/**
 * Two organizations out of every tenth of the buckets, so that no stretch of a rollout in tens goes unseen, and none
 * that an audience names is alone in its stretch.
 */
function organizationsByTenth(): string[][] {
  const tenths = Array.from({ length: 10 }, (): string[] => []);
  for (let number = 0; tenths.some((found) => found.length < 2); number += 1) {
    const bucket = bucketOf(definition.key, `org-${number}`) ?? 0;
    const found = tenths[Math.floor((bucket * 10) / BUCKETS)];
    if (found !== undefined && found.length < 2) found.push(`org-${number}`);
  }
  return tenths;
}

const TENTHS = organizationsByTenth();
const ORGANIZATIONS = TENTHS.flat();
const NAMED = TENTHS.flatMap(([first]) => first ?? []).slice(0, 3);
const USERS = ['ann', 'bob'];
const TIMES = [NOW_MS, NOW_MS + 150, NOW_MS + 250];

const CONTEXTS: EvaluationContext[] = [undefined, 'ümlaut', '', 7, ...ORGANIZATIONS].flatMap((organization) =>
  [undefined, ...USERS, 'eve'].flatMap((targetingKey) =>
    ['free', 'gold', undefined].map((plan) =>
      Object.fromEntries(
        Object.entries({ organization, targetingKey, plan }).filter(([, value]) => value !== undefined),
      ),
    ),
  ),
);

const variant = fc.constantFrom('off', 'on', 'alt');

const rollout: fc.Arbitrary<Rollout> = fc
  .tuple(
    fc.integer({ min: 0, max: 10 }),
    fc.integer({ min: 0, max: 10 }),
    fc.shuffledSubarray(['off', 'on', 'alt'], { minLength: 3 }),
  )
  .map(([one, other, names]) => {
    const [low, high] = [Math.min(one, other) * 10, Math.max(one, other) * 10];
    const percents = [low, high - low, 100 - high];
    return names.map((name, index) => ({ variant: name, percent: percents[index] ?? 0 }));
  });

const user = (id: string) =>
  fc
    .constantFrom(NOW_MS - 1, NOW_MS + 100, NOW_MS + 200)
    .map((untilMs) => ({ id, exception: exceptionUntil(untilMs) }));

const audience: fc.Arbitrary<Audience> = fc.oneof(
  fc.constant<Audience>({ kind: 'all' }),
  fc.constant<Audience>({ kind: 'none' }),
  fc
    .tuple(
      fc.subarray(NAMED),
      fc.subarray(USERS).chain((ids) => fc.tuple(...ids.map(user))),
    )
    .map(
      ([organizations, users]): Audience => ({
        kind: 'some',
        organizations: organizations.toSorted(),
        users,
      }),
    ),
);

const serve: fc.Arbitrary<Rule['serve']> = fc.oneof(
  variant.map((name) => ({ variant: name })),
  rollout.map((shares) => ({ rollout: shares })),
);

const rule: fc.Arbitrary<Rule> = fc.record({
  name: fc.constantFrom('first', 'second'),
  when: fc.constantFrom<Rule['when']>(
    [{ attribute: 'plan', operator: 'equals', values: ['gold'] }],
    [{ attribute: 'plan', operator: 'not_in', values: ['gold'] }],
    [{ attribute: 'organization', operator: 'in', values: NAMED.slice(0, 1) }],
  ),
  serve,
});

const state = (rules: fc.Arbitrary<Rule[]>): fc.Arbitrary<FlagState> =>
  fc.record({
    enabled: fc.boolean(),
    default_variant: variant,
    audience,
    rules,
    rollout: fc.option(rollout),
  });

/** Two states, of which the second often differs in one part only, as real changes do. */
const pair = (rules: fc.Arbitrary<Rule[]>): fc.Arbitrary<[FlagState, FlagState]> =>
  fc
    .tuple(
      state(rules),
      state(rules),
      fc.subarray<keyof FlagState>(['enabled', 'default_variant', 'audience', 'rules', 'rollout']),
    )
    .map(([before, other, parts]) => [
      before,
      { ...before, ...Object.fromEntries(parts.map((part) => [part, other[part]])) },
    ]);

function factsOf([before, after]: [FlagState, FlagState]): ChangeFacts {
  return stateFacts({ definition, before, after, nowMs: NOW_MS, returnsTo: null });
}

/** What really happens, found by asking the evaluator for every context at every time. */
function observe([before, after]: [FlagState, FlagState]) {
  const seen = { exposedBefore: false, exposedAfter: false, grew: false, shrank: false, swapped: false };
  for (const nowMs of TIMES) {
    for (const context of CONTEXTS) {
      const was = evaluate({ definition, state: before, context, now_ms: nowMs }).variant;
      const is = evaluate({ definition, state: after, context, now_ms: nowMs }).variant;
      seen.exposedBefore ||= was !== 'off';
      seen.exposedAfter ||= is !== 'off';
      seen.grew ||= was === 'off' && is !== 'off';
      seen.shrank ||= was !== 'off' && is === 'off';
      seen.swapped ||= was !== 'off' && is !== 'off' && was !== is;
    }
  }
  return seen;
}

/** The organizations that a state names, in its audience or a rule. */
function namedIn({ audience: who, rules }: FlagState): string[] {
  const inRules = rules
    .flatMap(({ when }) => when)
    .filter(({ attribute }) => attribute === 'organization')
    .flatMap(({ values }) => values.map(String));
  return [...(who.kind === 'some' ? who.organizations : []), ...inRules];
}

const PLANS = ['free', 'gold', undefined];

/** True when somebody of the organization, without an exception, is served another value after than before. */
function isServedAnother(
  organization: string,
  [definitionBefore, before]: [FlagDefinition, FlagState],
  [definitionAfter, after]: [FlagDefinition, FlagState],
): boolean {
  return PLANS.some((plan) => {
    const question = { context: { organization, ...(plan === undefined ? {} : { plan }) }, now_ms: NOW_MS };
    const was = evaluate({ definition: definitionBefore, state: before, ...question }).value;
    const is = evaluate({ definition: definitionAfter, state: after, ...question }).value;
    return was !== is;
  });
}

function touched({ organizations_added, organizations_removed }: ChangeFacts): string[] {
  return [...organizations_added, ...organizations_removed].sort();
}

/** The sample's definition with other values, another safe variant, another tier, or none of it. */
const otherDefinition: fc.Arbitrary<FlagDefinition> = fc
  .record({
    safe_variant: variant,
    tier: fc.constantFrom('informational' as const, 'operational' as const, 'sensitive' as const),
    variants: fc.record({
      off: fc.constantFrom('old', 'older'),
      on: fc.constantFrom('new', 'old'),
      alt: fc.constantFrom('newer', 'new'),
    }),
  })
  .chain((changes) =>
    fc
      .subarray<keyof typeof changes>(['safe_variant', 'tier', 'variants'])
      .map((parts) => sampleDefinition(Object.fromEntries(parts.map((part) => [part, changes[part]])))),
  );

const withRules = fc.array(rule, { maxLength: 2 });
const withoutRules = fc.constant<Rule[]>([]);

describe('facts against the real evaluator', () => {
  it('never call a change that newly exposes someone anything but on or widen', () => {
    fc.assert(
      fc.property(pair(withRules), (states) => {
        const facts = factsOf(states);
        if (!observe(states).grew) return;
        expect(facts.audience_grew).toBe(true);
        expect(['on', 'widen']).toContain(facts.direction);
      }),
      { numRuns: 1500 },
    );
  });

  it('say neutral only when every context gets the same answer', () => {
    fc.assert(
      fc.property(pair(withRules), (states) => {
        if (factsOf(states).direction !== 'neutral') return;
        const { grew, shrank, swapped } = observe(states);
        expect({ grew, shrank, swapped }).toEqual({ grew: false, shrank: false, swapped: false });
      }),
      { numRuns: 1500 },
    );
  });

  it('say off only when nobody is exposed afterwards, on only when nobody was before, narrow only without swaps', () => {
    fc.assert(
      fc.property(pair(withRules), (states) => {
        const { direction } = factsOf(states);
        const seen = observe(states);
        if (direction === 'off') expect(seen.exposedAfter).toBe(false);
        if (direction === 'on') expect(seen.exposedBefore).toBe(false);
        if (direction === 'narrow') expect(seen.swapped || seen.grew).toBe(false);
      }),
      { numRuns: 1500 },
    );
  });

  it('are exact where no rules are involved', () => {
    fc.assert(
      fc.property(pair(withoutRules), (states) => {
        const facts = factsOf(states);
        const seen = observe(states);
        const expected = !seen.exposedBefore
          ? seen.exposedAfter
            ? 'on'
            : 'neutral'
          : !seen.exposedAfter
            ? 'off'
            : seen.grew || seen.swapped
              ? 'widen'
              : seen.shrank
                ? 'narrow'
                : 'neutral';
        expect({ direction: facts.direction, grew: facts.audience_grew }).toEqual({
          direction: expected,
          grew: seen.grew,
        });
      }),
      { numRuns: 2000 },
    );
  });

  it('name every listed organization that is newly exposed as added, and every one exposed no more as removed', () => {
    fc.assert(
      fc.property(pair(withoutRules), (states) => {
        const facts = factsOf(states);
        const named = states.flatMap(({ audience: who }) => (who.kind === 'some' ? who.organizations : []));
        for (const organization of named) {
          const [was, is] = states.map(
            (one) => evaluate({ definition, state: one, context: { organization }, now_ms: NOW_MS }).variant,
          );
          if (was === 'off' && is !== 'off') expect(facts.organizations_added).toContain(organization);
          if (was !== 'off' && is === 'off') expect(facts.organizations_removed).toContain(organization);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('name every named organization that is served another value after a change of the state', () => {
    fc.assert(
      fc.property(pair(withRules), ([before, after]) => {
        const names = touched(factsOf([before, after]));
        for (const organization of [...namedIn(before), ...namedIn(after)]) {
          if (!isServedAnother(organization, [definition, before], [definition, after])) continue;
          expect(names).toContain(organization);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('name every organization named in any environment that is served another value after a change of the definition', () => {
    fc.assert(
      fc.property(otherDefinition, fc.array(state(withRules), { maxLength: 3 }), (after, states) => {
        const names = touched(definitionFacts(definition, after, states));
        for (const one of states) {
          for (const organization of namedIn(one)) {
            if (!isServedAnother(organization, [definition, one], [after, one])) continue;
            expect(names).toContain(organization);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('name each organization once, and only those that a state names', () => {
    fc.assert(
      fc.property(pair(withRules), (states) => {
        const names = touched(factsOf(states));
        expect(names).toEqual([...new Set(names)]);
        expect(states.flatMap(namedIn)).toEqual(expect.arrayContaining(names));
      }),
      { numRuns: 1000 },
    );
  });

  it('reverse: undoing a change touches the same organizations, and removes those that it newly exposed', () => {
    fc.assert(
      fc.property(pair(withoutRules), ([before, after]) => {
        const there = factsOf([before, after]);
        const back = factsOf([after, before]);
        expect(touched(back)).toEqual(touched(there));
        const swapped = there.organizations_added.filter((name) => back.organizations_added.includes(name));
        expect([...back.organizations_removed, ...swapped].sort()).toEqual(there.organizations_added);
        expect(back.users_removed).toEqual(there.users_added);
      }),
      { numRuns: 1000 },
    );
  });

  /** The share, in percent, of organizations that no state names and that lose a variant to another one. */
  const movedOf = ([before, after]: [FlagState, FlagState], plan?: string) => {
    const moved = TENTHS.filter(([, organization]) => {
      const [was, is] = [before, after].map(
        (one) =>
          evaluate({
            definition,
            state: one,
            context: { organization, ...(plan === undefined ? {} : { plan }) },
            now_ms: NOW_MS,
          }).variant,
      );
      return was !== 'off' && was !== is;
    });
    return moved.length * 10;
  };
  const rolledOut = (rules: fc.Arbitrary<Rule[]>): fc.Arbitrary<FlagState> =>
    fc.record({
      enabled: fc.constant(true),
      default_variant: variant,
      audience: fc.constant<Audience>({ kind: 'all' }),
      rules,
      rollout,
    });

  it('say which share of organizations a change of percentages moves, exactly where no rules are involved', () => {
    fc.assert(
      fc.property(rolledOut(withoutRules), rolledOut(withoutRules), (before, after) => {
        const { moved_percent, direction } = factsOf([before, after]);
        const { exposedBefore, exposedAfter } = observe([before, after]);
        expect([direction, moved_percent]).toEqual([
          direction,
          exposedBefore && exposedAfter ? movedOf([before, after]) : undefined,
        ]);
      }),
      { numRuns: 300 },
    );
  });

  it('never understate that share where rules have rollouts of their own', () => {
    const ruled = fc.array(
      rule.chain((each) => rollout.map((shares) => ({ ...each, serve: { rollout: shares } }))),
      { maxLength: 2 },
    );
    fc.assert(
      fc.property(rolledOut(ruled), rolledOut(ruled), (before, after) => {
        const { moved_percent = 0 } = factsOf([before, after]);
        const { exposedBefore, exposedAfter } = observe([before, after]);
        if (!exposedBefore || !exposedAfter) return;
        for (const plan of [undefined, 'gold', 'free'])
          expect(moved_percent).toBeGreaterThanOrEqual(movedOf([before, after], plan));
      }),
      { numRuns: 300 },
    );
  });
});
