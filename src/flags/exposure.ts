import { bucketOf, variantAt, weightOf } from './bucket.ts';
import type { FlagState } from './model.ts';
import { type ServedPair, type ServedValue, servesOrganization, servesUnnamed } from './rule-pairs.ts';

/**
 * Compares exactly who is exposed by two states of one flag. A context is exposed if it may be served a variant other
 * than the safe one, now or later without a further change (an exception that runs longer exposes longer).
 *
 * All contexts are divided into equivalence classes of the two states: by organization (each one that a state names, all
 * others by bucket, and none), and by the single-user exceptions that apply. The answers of both states are compared for
 * each class and each pair of values that the rules may serve to it (`rule-pairs.ts`).
 */

/** Two states of one flag, to be compared. */
export interface StatePair {
  flagKey: string;
  safeVariant: string;
  before: FlagState;
  after: FlagState;
  nowMs: number;
}

/** The result of the comparison for one class of contexts, or for all. */
interface Findings {
  /** True if someone may be exposed. False is certain. */
  exposedBefore: boolean;
  exposedAfter: boolean;
  /** True if someone who got the safe variant may get another one. False is certain. */
  grew: boolean;
  /** True if someone who was exposed may get the safe variant. False is certain. */
  shrank: boolean;
  /** True if someone who was and is exposed may get a different variant than before. False is certain. */
  swapped: boolean;
}

/** One variant in place of another. */
export interface Swap {
  from: string;
  to: string;
}

/** The result of the comparison of two states. */
export interface Exposure extends Findings {
  /** Named organizations with someone who may be newly exposed to a variant. Sorted. */
  organizationsGrown: string[];
  /** Named organizations with someone who may no longer be exposed. Sorted. */
  organizationsShrunk: string[];
  /** Named organizations with someone who may be exposed. Users with an exception do not count. */
  organizationsExposedBefore: ReadonlySet<string>;
  organizationsExposedAfter: ReadonlySet<string>;
  /** All swaps that may happen to someone, both variants other than the safe one. Sorted. */
  swaps: Swap[];
  /** True if an organization that neither state names may be newly exposed, or may get a different variant. */
  unnamedReached: boolean;
  /** True if an organization that neither state names may be exposed after the change. */
  unnamedExposedAfter: boolean;
}

type Membership = readonly [before: boolean, after: boolean];

/** The organizations that a state names, in its audience or in a rule. */
export function namedOrganizations(state: FlagState): Set<string> {
  const inAudience = state.audience.kind === 'some' ? state.audience.organizations : [];
  return new Set([...inAudience, ...organizationsInRules(state)]);
}

/** The organizations that the rules of a state name. */
function organizationsInRules(state: FlagState): Set<string> {
  const named = new Set<string>();
  for (const condition of state.rules.flatMap((rule) => rule.when)) {
    if (condition.attribute !== 'organization') continue;
    for (const value of condition.values) if (typeof value === 'string') named.add(value);
  }
  return named;
}

/** When the exception of a user ends: 0 if there is none, infinity if everybody is in the audience. */
export function exceptionEnd(state: FlagState, user: string, nowMs: number): number {
  if (state.audience.kind !== 'some') return state.audience.kind === 'all' ? Number.POSITIVE_INFINITY : 0;
  const untilMs = state.audience.users.find(({ id }) => id === user)?.exception.until_ms ?? 0;
  return untilMs > nowMs ? untilMs : 0;
}

function answerAt(served: ServedValue, bucket: number | null, safeVariant: string): string {
  if ('variant' in served) return served.variant;
  return (bucket === null ? null : variantAt(served.rollout, bucket)) ?? safeVariant;
}

/** The first bucket of every range in which each rollout serves one variant. Sorted. */
function stretchStarts(pairs: readonly ServedPair[]): number[] {
  const starts = new Set([0]);
  for (const served of new Set(pairs.flatMap(({ before, after }) => [before, after]))) {
    if ('variant' in served) continue;
    let start = 0;
    for (const share of served.rollout) {
      start += weightOf(share.percent);
      // The end itself is not a bucket. It behaves like a missing organization, which is compared anyway.
      starts.add(start);
    }
  }
  return [...starts].sort((one, other) => one - other);
}

/** The start of the range that contains a bucket. */
function startOfStretch(starts: readonly number[], bucket: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] ?? 0) <= bucket) low = middle;
    else high = middle;
  }
  return starts[low] ?? 0;
}

function exceptionEnds(state: FlagState, nowMs: number): Map<string, number> {
  if (state.audience.kind !== 'some') return new Map();
  return new Map(
    state.audience.users.map(({ id, exception }) => [
      id,
      exception.until_ms > nowMs ? exception.until_ms : 0,
    ]),
  );
}

/** Which combinations of "has an exception before" and "has one after" occur, now or later. */
function exceptionClasses({ before, after, nowMs }: StatePair): Membership[] {
  const endsBefore = exceptionEnds(before, nowMs);
  const endsAfter = exceptionEnds(after, nowMs);
  let both = false;
  let onlyBefore = false;
  let onlyAfter = false;
  for (const user of new Set([...endsBefore.keys(), ...endsAfter.keys()])) {
    const endBefore = endsBefore.get(user) ?? 0;
    const endAfter = endsAfter.get(user) ?? 0;
    both ||= endBefore > 0 && endAfter > 0;
    onlyBefore ||= endBefore > endAfter;
    onlyAfter ||= endAfter > endBefore;
  }
  const classes: Membership[] = [[false, false]];
  if (both) classes.push([true, true]);
  if (onlyBefore) classes.push([true, false]);
  if (onlyAfter) classes.push([false, true]);
  return classes;
}

/** The organizations in the audience, as a set that is built once: audiences can be long. */
function audienceOf(state: FlagState): {
  everybody: boolean;
  somebody: boolean;
  organizations: ReadonlySet<string>;
} {
  const { audience, enabled } = state;
  return {
    everybody: enabled && audience.kind === 'all',
    somebody: enabled && audience.kind === 'some',
    organizations: new Set(audience.kind === 'some' ? audience.organizations : []),
  };
}

function nothing(): Findings {
  return { exposedBefore: false, exposedAfter: false, grew: false, shrank: false, swapped: false };
}

function addFindings(found: Findings, other: Findings): void {
  found.exposedBefore ||= other.exposedBefore;
  found.exposedAfter ||= other.exposedAfter;
  found.grew ||= other.grew;
  found.shrank ||= other.shrank;
  found.swapped ||= other.swapped;
}

/** Collects each swap once. */
function createSwaps() {
  const byName = new Map<string, Swap>();
  return {
    add(from: string, to: string): void {
      const name = `${from} ${to}`;
      if (!byName.has(name)) byName.set(name, { from, to });
    },
    sorted: (): Swap[] =>
      [...byName].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, swap]) => swap),
  };
}

type Swaps = ReturnType<typeof createSwaps>;

/**
 * Compares the answers for one class of contexts: those in one bucket (null: none) that are, or are not, in the two
 * audiences. Each range of buckets is compared once, because thousands of organizations share a few ranges.
 */
function createClassComparison(
  {
    pairs,
    starts,
    safeVariant,
  }: { pairs: readonly ServedPair[]; starts: readonly number[]; safeVariant: string },
  swaps: Swaps,
) {
  const known = new Map<number, Findings>();
  const served = new Set(pairs.flatMap(({ before, after }) => [before, after]));

  function compare(start: number | null, isIn: Membership): Findings {
    const found = nothing();
    const answers = new Map([...served].map((value) => [value, answerAt(value, start, safeVariant)]));
    const answer = (value: ServedValue, isServed: boolean) =>
      (isServed ? answers.get(value) : undefined) ?? safeVariant;
    for (const { before, after } of pairs) {
      const was = answer(before, isIn[0]);
      const is = answer(after, isIn[1]);
      const wasExposed = was !== safeVariant;
      const isExposed = is !== safeVariant;
      const isSwapped = wasExposed && isExposed && was !== is;
      addFindings(found, {
        exposedBefore: wasExposed,
        exposedAfter: isExposed,
        grew: !wasExposed && isExposed,
        shrank: wasExposed && !isExposed,
        swapped: isSwapped,
      });
      if (isSwapped) swaps.add(was, is);
    }
    return found;
  }

  return (bucket: number | null, isIn: Membership): Findings => {
    const start = bucket === null ? null : startOfStretch(starts, bucket);
    const name = ((start ?? -1) + 1) * 4 + (isIn[0] ? 2 : 0) + (isIn[1] ? 1 : 0);
    let found = known.get(name);
    if (found === undefined) {
      found = compare(start, isIn);
      known.set(name, found);
    }
    return found;
  };
}

/**
 * Compares two states, by the pairs of values that one context may be served (`servedPairs`). Every answer is exact except
 * for the rules: each pair is assumed to occur for someone in the audience.
 */
export function compareExposure(pair: StatePair, pairs: readonly ServedPair[]): Exposure {
  const { flagKey, safeVariant, before, after } = pair;
  const starts = stretchStarts(pairs);
  const swaps = createSwaps();
  const comparisonOf = (some: readonly ServedPair[]) =>
    createClassComparison({ pairs: some, starts, safeVariant }, swaps);
  const ofUnnamed = comparisonOf(pairs.filter(servesUnnamed));
  const namedInRules = new Set([...organizationsInRules(before), ...organizationsInRules(after)]);
  const classes = exceptionClasses(pair);
  const [audienceBefore, audienceAfter] = [audienceOf(before), audienceOf(after)];
  const found = nothing();

  /** `listed` says which audiences contain the organization. The first class is that of users without an exception. */
  function compareClasses(
    compare: typeof ofUnnamed,
    bucket: number | null,
    listed: Membership,
  ): Findings | undefined {
    const [first] = classes.map((byException) => {
      const ofClass = compare(bucket, [
        audienceBefore.everybody || (audienceBefore.somebody && (listed[0] || byException[0])),
        audienceAfter.everybody || (audienceAfter.somebody && (listed[1] || byException[1])),
      ]);
      addFindings(found, ofClass);
      return ofClass;
    });
    return first;
  }

  const unnamed = nothing();
  for (const bucket of [null, ...starts]) {
    addFindings(unnamed, compareClasses(ofUnnamed, bucket, [false, false]) ?? nothing());
  }
  const named = new Map<string, Findings>();
  for (const organization of [
    ...new Set([...namedOrganizations(before), ...namedOrganizations(after)]),
  ].sort()) {
    // Organizations that only an audience names meet the same conditions as those that are not named.
    const compare = namedInRules.has(organization)
      ? comparisonOf(pairs.filter((each) => servesOrganization(each, organization)))
      : ofUnnamed;
    const ofOrganization = compareClasses(compare, bucketOf(flagKey, organization), [
      audienceBefore.organizations.has(organization),
      audienceAfter.organizations.has(organization),
    ]);
    if (ofOrganization !== undefined) named.set(organization, ofOrganization);
  }
  const organizationsWhere = (holds: (ofOrganization: Findings) => boolean): string[] =>
    [...named].flatMap(([organization, ofOrganization]) => (holds(ofOrganization) ? [organization] : []));
  return {
    ...found,
    organizationsGrown: organizationsWhere(({ grew, swapped }) => grew || swapped),
    organizationsShrunk: organizationsWhere(({ shrank }) => shrank),
    organizationsExposedBefore: new Set(organizationsWhere(({ exposedBefore }) => exposedBefore)),
    organizationsExposedAfter: new Set(organizationsWhere(({ exposedAfter }) => exposedAfter)),
    swaps: swaps.sorted(),
    unnamedReached: unnamed.grew || unnamed.swapped,
    unnamedExposedAfter: unnamed.exposedAfter,
  };
}
