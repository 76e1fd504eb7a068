import { FlagdCore } from '@openfeature/flagd-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/data/evaluate.ts';
import { flagdDefinition } from '../../src/data/flagd-definition.ts';
import type { FlagState, Rollout } from '../../src/flags/model.ts';
import { planChange } from '../../src/flags/plan.ts';
import { NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';

/*
 * A rollout of two variants that is widened, step by step, as changes plan it: whoever had the flag still has it, at the broker
 * and at flagd. The organizations are many, so that each thousandth of a percent could lose one.
 */

const definition = sampleDefinition();
const flag = definition.key;
const ORGANIZATIONS = Array.from({ length: 300 }, (_, number) => `org-${number}`);

/** The percentages of one widening after another, in thousandths; and in which order each is written. */
const steps = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 100_000 }), fc.boolean()), { minLength: 2, maxLength: 6 })
  .map((given) => given.toSorted(([one], [other]) => one - other))
  .map((given) => given.filter(([share], at) => share !== given[at - 1]?.[0]));

function shares(thousandths: number, isTurned: boolean): Rollout {
  const rollout = [
    { variant: 'on', percent: thousandths / 1000 },
    { variant: 'off', percent: (100_000 - thousandths) / 1000 },
  ];
  return isTurned ? rollout.toReversed() : rollout;
}

/** The state after a change, or as it is after one that would do nothing. */
function rolledOut(state: FlagState, change: { rollout?: Rollout; rules?: FlagState['rules'] }): FlagState {
  const planned = planChange({
    change: { action: 'set_rollout', flag, ...change },
    ...{ definition, state, earlier: null, now_ms: NOW_MS, environment: 'production' },
  });
  return planned.state ?? state;
}

/** Who has the flag, by each evaluator. They must agree. */
function served(state: FlagState, more: object = {}): Set<string> {
  const core = new FlagdCore(undefined, undefined, { disableDynamicCodeGeneration: true });
  const document = { flags: { [flag]: flagdDefinition({ definition, state, version: 1 }) } };
  core.setConfigurations(JSON.stringify(document));
  const at = ORGANIZATIONS.filter((organization) => {
    const context = { organization, targetingKey: `user of ${organization}`, ...more };
    const { variant } = evaluate({ definition, state, context, now_ms: NOW_MS });
    expect(core.resolveStringEvaluation(flag, 'CODE', context).variant).toBe(variant);
    return variant === 'on';
  });
  return new Set(at);
}

function expectKept(states: readonly FlagState[], more: object = {}): void {
  let had = new Set<string>();
  for (const state of states) {
    const has = served(state, more);
    expect([...had].filter((organization) => !has.has(organization))).toEqual([]);
    had = has;
  }
}

describe('widening a rollout of two variants', () => {
  it('takes the flag from no organization that had it, in whatever order the shares are written', () => {
    fc.assert(
      fc.property(steps, (given) => {
        let state = sampleState({ rollout: null });
        const states = given.map(([share, isTurned]) => {
          state = rolledOut(state, { rollout: shares(share, isTurned) });
          return state;
        });
        for (const [at, [share]] of given.entries()) {
          expect(states[at]?.rollout?.find(({ variant }) => variant === 'on')?.percent).toBe(share / 1000);
        }
        expectKept(states);
      }),
      { numRuns: 60 },
    );
  });

  it('takes it from nobody in a rule of the same name either', () => {
    fc.assert(
      fc.property(steps, (given) => {
        let state = sampleState({ rollout: shares(0, false) });
        const states = given.map(([share, isTurned]) => {
          const when = [{ attribute: 'plan', operator: 'equals' as const, values: ['gold'] }];
          const rules = [{ name: 'gold', when, serve: { rollout: shares(share, isTurned) } }];
          state = rolledOut(state, { rules });
          return state;
        });
        expectKept(states, { plan: 'gold' });
      }),
      { numRuns: 30 },
    );
  });

  it('leaves the order to the author where there are other variants, or none were shared out before', () => {
    const turned = shares(10_000, true);
    expect(rolledOut(sampleState({ rollout: null }), { rollout: turned }).rollout).toEqual(turned);
    const three: Rollout = [...shares(10_000, false), { variant: 'alt', percent: 0 }];
    const before = sampleState({ rollout: three });
    expect(rolledOut(before, { rollout: three.toReversed() }).rollout).toEqual(three.toReversed());
    expect(rolledOut(before, { rollout: turned }).rollout).toEqual(turned);
  });
});
