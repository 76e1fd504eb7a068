import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import type { EvaluationContext } from '../../src/data/conditions.ts';
import { evaluate } from '../../src/data/evaluate.ts';
import { stateFacts } from '../../src/flags/facts.ts';
import type { Audience, Condition, FlagState, Rollout, Rule } from '../../src/flags/model.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import type { PolicyResult } from '../../src/policy/decision.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { applyGuardrails } from '../../src/policy/guardrails.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import { exceptionUntil, NOW_MS, sampleDefinition } from '../flags/samples.ts';

/*
 * What break-glass may do, and what the policy calls `lower`, against what the evaluator then serves: random contexts, now
 * and later, before and after. The facts are only the way from the one to the other.
 */

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);
const base = JSON.parse(
  readFileSync(new URL('../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
) as { input: object; change: object; parts: Record<string, object> };

const definition = sampleDefinition();
const ORDER = ['off', 'on', 'alt'];
const VALUES = ['acme', 'globex', 'initech'];

const variant = fc.constantFrom('off', 'on', 'alt');
const condition: fc.Arbitrary<Condition> = fc.record({
  attribute: fc.constantFrom('organization', 'email'),
  operator: fc.constantFrom('equals', 'in', 'not_equals', 'not_in', 'starts_with', 'ends_with', 'contains'),
  values: fc.subarray(VALUES, { minLength: 1 }),
});
const rollout: fc.Arbitrary<Rollout> = fc
  .tuple(fc.integer({ min: 0, max: 10 }), fc.shuffledSubarray(ORDER, { minLength: 2, maxLength: 2 }))
  .map(([tenths, [one = 'off', other = 'off']]) => [
    { variant: one, percent: tenths * 10 },
    { variant: other, percent: 100 - tenths * 10 },
  ]);
const rule: fc.Arbitrary<Rule> = fc.record({
  name: fc.constant('rule'),
  when: fc.array(condition, { minLength: 1, maxLength: 2 }),
  serve: fc.oneof(
    { weight: 3, arbitrary: variant.map((name) => ({ variant: name })) },
    { weight: 1, arbitrary: rollout.map((shares) => ({ rollout: shares })) },
  ),
});
const user = (id: string) =>
  fc.constantFrom(-1, 100, 200).map((ms) => ({ id, exception: exceptionUntil(NOW_MS + ms) }));
const audience: fc.Arbitrary<Audience> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Audience>({ kind: 'all' }) },
  { weight: 1, arbitrary: fc.constant<Audience>({ kind: 'none' }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.subarray(VALUES),
        fc.subarray(['ann', 'bob']).chain((ids) => fc.tuple(...ids.map(user))),
      )
      .map(([organizations, users]): Audience => ({ kind: 'some', organizations, users })),
  },
);
const state: fc.Arbitrary<FlagState> = fc.record({
  enabled: fc.boolean(),
  default_variant: variant,
  audience,
  rules: fc.array(rule, { maxLength: 3 }),
  rollout: fc.option(rollout),
});

/** A state, and what is made of it: another one, or itself with a part or a rule changed. */
const change: fc.Arbitrary<[FlagState, FlagState]> = fc
  .tuple(
    state,
    state,
    fc.subarray<keyof FlagState>(['enabled', 'default_variant', 'audience', 'rules', 'rollout']),
    fc.array(fc.nat(3), { maxLength: 2 }),
  )
  .map(([before, other, parts, dropped]) => [
    { ...before, enabled: true },
    {
      ...before,
      rules: before.rules.filter((_, place) => !dropped.includes(place)),
      ...Object.fromEntries(parts.map((part) => [part, other[part]])),
    },
  ]);

const text = fc.oneof(
  fc.constantFrom(...VALUES),
  fc.constantFrom('acme-eu', 'my-acme', 'x', 'ü', ''),
  fc.string(),
);
const context: fc.Arbitrary<EvaluationContext> = fc
  .record(
    {
      organization: fc.oneof(text, fc.constantFrom(7, true, null)),
      email: text,
      targetingKey: fc.constantFrom('ann', 'bob', 'eve'),
    },
    { requiredKeys: [] },
  )
  .map((members) => members as EvaluationContext);
const asked = fc.array(fc.tuple(context, fc.constantFrom(0, 99, 100, 150, 200, 1e9)), {
  minLength: 60,
  maxLength: 60,
});

/** How exposed a variant is: only the order says so, and what has no order is as exposed as can be. */
type Allowed = (was: string, is: string) => boolean;
const sameOrSafe: Allowed = (was, is) => is === was || is === 'off';
const notMoreExposed: Allowed = (was, is) => sameOrSafe(was, is) || ORDER.indexOf(is) <= ORDER.indexOf(was);

function expectSafe(
  [before, after]: [FlagState, FlagState],
  contexts: readonly (readonly [EvaluationContext, number])[],
  isAllowed: Allowed,
): void {
  for (const [each, ms] of contexts) {
    const at = { definition, context: each, now_ms: NOW_MS + ms };
    const was = evaluate({ ...at, state: before }).variant;
    const is = evaluate({ ...at, state: after }).variant;
    expect(isAllowed(was, is), `${JSON.stringify(each)} after ${ms} ms: ${was}, then ${is}`).toBe(true);
  }
}

function inputOf(
  [before, after]: [FlagState, FlagState],
  parts: readonly string[],
  returnsTo: number | null = null,
): PolicyInput {
  const facts = stateFacts({ definition, before, after, nowMs: NOW_MS, returnsTo });
  const changed = {
    ...base.change,
    flag: { ...(base.change as { flag: object }).flag, tier: 'informational' },
    facts,
  };
  const layers = [{ request: { changes: [changed] } }, ...parts.map((part) => base.parts[part] ?? {})];
  return layers.reduce(merge, base.input) as PolicyInput;
}

function merge(left: object, right: object): object {
  const entries = Object.entries(right).map(([name, value]) => {
    const known = (left as Record<string, unknown>)[name];
    return [name, isObject(known) && isObject(value) ? merge(known, value) : value];
  });
  return { ...left, ...Object.fromEntries(entries) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const allow: PolicyResult = { effect: 'allow', reasons: [], obligations: [], limits: {} };
const KEY = 'new-checkout';

let plain: Engine;
let ordered: Engine;

beforeAll(async () => {
  const archive = readFileSync(SHIPPED);
  plain = await createEngine(await readBundle(archive));
  const withOrder = await rebundle(archive, (data) => {
    const { config } = data as { config: object };
    return { config: { ...config, exposure_order: { [KEY]: ORDER } } };
  });
  ordered = await createEngine(await readBundle(withOrder));
});

const ORDERS: [string, Allowed, ReadonlyMap<string, readonly string[]>, () => Engine][] = [
  ['without an order of exposure', sameOrSafe, new Map(), () => plain],
  ['by an order of exposure', notMoreExposed, new Map([[KEY, ORDER]]), () => ordered],
];

describe.each(ORDERS)(
  'what is allowed %s serves every context, now and later, what it had, or something safer',
  (_n, isAllowed, exposure_order, engine) => {
    /** Counted, so that the test notices when nearly nothing is allowed any more. */
    function check(
      judge: (states: [FlagState, FlagState], returns: boolean) => boolean,
      numRuns: number,
    ): void {
      let allowed = 0;
      fc.assert(
        fc.property(change, asked, fc.boolean(), (states, contexts, returns) => {
          if (!judge(states, returns)) return;
          allowed += 1;
          expectSafe(states, contexts, isAllowed);
        }),
        { numRuns },
      );
      expect(allowed).toBeGreaterThan(numRuns / 20);
    }

    it('in a break-glass session, whatever the policy says', () => {
      check((states, returns) => {
        const input = inputOf(states, ['breakglass.apply', 'session'], returns ? 2 : null);
        const data = { persons: new Map(), exposure_order };
        return applyGuardrails(input, allow, data).effect === 'allow';
      }, 4000);
    });

    it('in a break-glass session, by the shipped policy', () => {
      check((states, returns) => {
        const parts = ['breakglass.apply', 'session', 'by_riley', 'from_riley'];
        return (
          engine().evaluate(JSON.stringify(inputOf(states, parts, returns ? 2 : null))).effect === 'allow'
        );
      }, 800);
    });

    it('under `lower`, which passes a freeze', () => {
      check((states) => {
        const { reasons } = engine().evaluate(JSON.stringify(inputOf(states, ['frozen'])));
        return !reasons.some(({ code }) => code === 'frozen');
      }, 800);
    });

    it('under a freeze, whatever the policy says', () => {
      check((states) => {
        const input = inputOf(states, ['frozen']);
        return applyGuardrails(input, allow, { persons: new Map(), exposure_order }).effect === 'allow';
      }, 4000);
    });
  },
);

it('what makes things safer is shown to be safe, however it is written', () => {
  const rules = (values: string[], operator: Condition['operator'] = 'in', name = 'on'): Rule[] => [
    { name: 'r', when: [{ attribute: 'organization', operator, values }], serve: { variant: name } },
  ];
  const all: FlagState = {
    enabled: true,
    default_variant: 'on',
    audience: { kind: 'all' },
    rules: [],
    rollout: null,
  };
  const closed = { ...all, default_variant: 'off' };
  const safer: [FlagState, FlagState][] = [
    [all, { ...all, enabled: false }],
    [all, { ...all, audience: { kind: 'some', organizations: ['acme'], users: [] } }],
    [all, { ...all, rules: rules(['acme'], 'in', 'off') }],
    [all, { ...closed, rules: rules(['acme']) }],
    [all, { ...closed, rules: rules(['acme'], 'not_in') }],
    [
      { ...closed, rules: rules(['acme', 'globex']) },
      { ...closed, rules: rules(['globex']) },
    ],
    [
      { ...closed, rules: rules(['acme'], 'not_in') },
      { ...closed, rules: rules(['acme', 'globex'], 'not_in') },
    ],
    [
      { ...closed, rules: rules(['acme'], 'not_in') },
      { ...closed, rules: rules(['globex']) },
    ],
    [{ ...closed, rules: rules(['acme']) }, closed],
  ];
  for (const [before, after] of safer) {
    expect(stateFacts({ definition, before, after, nowMs: NOW_MS, returnsTo: null })).toMatchObject({
      safe: true,
    });
    expect(
      stateFacts({ definition, before: after, after: before, nowMs: NOW_MS, returnsTo: null }),
    ).toMatchObject({
      safe: false,
      direction: expect.stringMatching(/^(on|widen)$/),
    });
  }
});
