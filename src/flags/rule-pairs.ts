import { canonicalJson } from '../json.ts';
import type { Condition, FlagState, Rollout } from './model.ts';

/**
 * Which values two states of one flag can serve to one and the same context: the pairs of their rules, or of what is
 * served after all rules, that one context can reach. A pair is left out only if no context can reach it, so whatever
 * holds for all pairs holds for all contexts.
 */

/** What a rule, or the default after all rules, serves: one variant or a rollout. */
export type ServedValue = { variant: string } | { rollout: Rollout };

/** What the two states serve to some contexts, if they are in the audience. */
export interface ServedPair {
  before: ServedValue;
  after: ServedValue;
  /** The organization of each such context is in all of these sets … */
  within: readonly ReadonlySet<unknown>[];
  /** … and in none of these. */
  outside: readonly ReadonlySet<unknown>[];
}

/** False if no context of this organization is served the pair. */
export function servesOrganization({ within, outside }: ServedPair, organization: string): boolean {
  return (
    within.every((names) => names.has(organization)) && !outside.some((names) => names.has(organization))
  );
}

/** False if only organizations that a rule names are served the pair. */
export function servesUnnamed({ within }: ServedPair): boolean {
  return !within.some((names) => [...names].every((name) => typeof name === 'string'));
}

/** A way through the rules of a state: past some rules, to one that matches or to the end. */
interface Path {
  serve: ServedValue;
  met: readonly Condition[];
  passed: readonly (readonly Condition[])[];
}

/** Bounds the work of a comparison in the writing transaction. */
const MAX_PAIRS = 450;
const MAX_CONDITIONS = 300;

/** True if both states have the same conditions and serve the same variants; rule names are ignored. */
export function hasSameRules(before: FlagState, after: FlagState): boolean {
  const essence = (state: FlagState) =>
    canonicalJson(state.rules.map(({ when, serve }) => ({ when, serve })));
  return essence(before) === essence(after);
}

/** True if the condition holds only for the values that it names. */
export function isPositive({ operator }: Condition): boolean {
  return operator === 'equals' || operator === 'in';
}

/** True if the condition holds for every scalar value but those that it names. */
function isNegative({ operator }: Condition): boolean {
  return operator === 'not_equals' || operator === 'not_in';
}

function endOfRules(state: FlagState): ServedValue {
  return state.rollout === null ? { variant: state.default_variant } : { rollout: state.rollout };
}

function pathsOf(state: FlagState): Path[] {
  const rules = state.rules.map(({ when }) => when);
  return [
    ...state.rules.map(({ serve, when }, place) => ({ serve, met: when, passed: rules.slice(0, place) })),
    { serve: endOfRules(state), met: [], passed: rules },
  ];
}

/** What follows from conditions on one attribute, by the values that they name. Only what is certain is true. */
function createReasoning() {
  const sets = new Map<Condition, ReadonlySet<unknown>>();
  const known = new Map<Condition, Map<Condition, boolean>>();

  function valuesOf(condition: Condition): ReadonlySet<unknown> {
    const found = sets.get(condition) ?? new Set<unknown>(condition.values);
    sets.set(condition, found);
    return found;
  }

  const allIn = (one: Condition, other: Condition) => one.values.every((value) => valuesOf(other).has(value));
  const noneIn = (one: Condition, other: Condition) =>
    !one.values.some((value) => valuesOf(other).has(value));

  function follows(met: Condition, other: Condition): boolean {
    if (met.attribute !== other.attribute) return false;
    if (isPositive(met) && isPositive(other)) return allIn(met, other);
    if (isPositive(met) && isNegative(other)) return noneIn(met, other);
    if (isNegative(met) && isNegative(other)) return allIn(other, met);
    return canonicalJson(met) === canonicalJson(other);
  }

  return {
    valuesOf,
    /** True if whoever meets the first condition meets the other. */
    implies(met: Condition, other: Condition): boolean {
      const ofMet = known.get(met) ?? new Map<Condition, boolean>();
      known.set(met, ofMet);
      const answer = ofMet.get(other) ?? follows(met, other);
      ofMet.set(other, answer);
      return answer;
    },
    /** True if nobody meets both conditions. */
    excludes(one: Condition, other: Condition): boolean {
      if (one.attribute !== other.attribute || !isPositive(one)) return false;
      if (isPositive(other)) return noneIn(one, other);
      return isNegative(other) && allIn(one, other);
    },
  };
}

type Reasoning = ReturnType<typeof createReasoning>;

/** False if no context can take both paths: it would meet two conditions that exclude each other, or a rule it passed. */
function meet(one: Path, other: Path, { implies, excludes }: Reasoning): boolean {
  const met = [...one.met, ...other.met];
  if (met.some((first) => met.some((second) => excludes(first, second)))) return false;
  const isMet = (condition: Condition) => met.some((known) => implies(known, condition));
  return ![...one.passed, ...other.passed].some((rule) => rule.every(isMet));
}

function tooManyToCompare(before: FlagState, after: FlagState): boolean {
  const conditions = [...before.rules, ...after.rules].reduce((sum, { when }) => sum + when.length, 0);
  return (before.rules.length + 1) * (after.rules.length + 1) > MAX_PAIRS || conditions > MAX_CONDITIONS;
}

/** All pairs of served values that one context can reach. Null if there is too much to compare. */
export function servedPairs(before: FlagState, after: FlagState): ServedPair[] | null {
  const [pathsBefore, pathsAfter] = [pathsOf(before), pathsOf(after)];
  const reasoning = createReasoning();

  function pairOf(one: Path, other: Path): ServedPair {
    const named = [...one.met, ...other.met].filter(({ attribute }) => attribute === 'organization');
    return {
      before: one.serve,
      after: other.serve,
      within: named.filter(isPositive).map(reasoning.valuesOf),
      outside: named.filter(isNegative).map(reasoning.valuesOf),
    };
  }

  if (hasSameRules(before, after)) {
    return pathsBefore.map((one, place) => pairOf(one, pathsAfter[place] ?? one));
  }
  if (tooManyToCompare(before, after)) return null;
  return pathsBefore.flatMap((one) =>
    pathsAfter.filter((other) => meet(one, other, reasoning)).map((other) => pairOf(one, other)),
  );
}
