import { canonicalJson } from '../json.ts';
import { bucketOf, variantAt, weightOf } from './bucket.ts';
import type { FlagState, Rollout } from './model.ts';

/**
 * Exact comparison of who is exposed by two states of one flag. Exposed is who may be served another variant than the
 * safe one, now or at any later time without a further change (an exception that runs longer exposes longer).
 *
 * All contexts are divided into classes that the two states cannot tell apart: by organization (each one that a state
 * names, all others by bucket, and none), and by what single-user exceptions hold. For each class the answers of both
 * states are compared. What a rule's conditions match is not computed: where both states have the same rules, a
 * context may match any of them or none.
 */

/** Two states of one flag, to be compared. */
export interface StatePair {
  flagKey: string;
  safeVariant: string;
  before: FlagState;
  after: FlagState;
  nowMs: number;
}

/** What the comparison found about one class of contexts, or about all. */
interface Findings {
  /** True when someone may be exposed. False is certain. */
  exposedBefore: boolean;
  exposedAfter: boolean;
  /** True when someone who got the safe variant may get another one. False is certain. */
  grew: boolean;
  /** True when someone who was exposed may get the safe variant. False is certain. */
  shrank: boolean;
  /** True when someone who was and is exposed may get another variant than before. False is certain. */
  swapped: boolean;
}

/** What the comparison of two states found. */
export interface Exposure extends Findings {
  /** Named organizations of which someone may be exposed to a variant that they were not exposed to before. Sorted. */
  organizationsGrown: string[];
  /** Named organizations of which someone may be exposed no more. Sorted. */
  organizationsShrunk: string[];
}

/** What a rule, or the end of the rules, serves: one variant or a rollout. */
type ServedValue = { variant: string } | { rollout: Rollout };
/** What the two states serve to the same context, once it is in their audience. */
type ServedPair = readonly [before: ServedValue, after: ServedValue];
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

/** When the exception of a user ends: 0 when there is none, infinity when everybody is in the audience. */
export function exceptionEnd(state: FlagState, user: string, nowMs: number): number {
  if (state.audience.kind !== 'some') return state.audience.kind === 'all' ? Number.POSITIVE_INFINITY : 0;
  const untilMs = state.audience.users.find(({ id }) => id === user)?.exception.until_ms ?? 0;
  return untilMs > nowMs ? untilMs : 0;
}

/** True when both states have the same conditions and serve the same, whatever the rules are called. */
export function hasSameRules(before: FlagState, after: FlagState): boolean {
  const essence = (state: FlagState) =>
    canonicalJson(state.rules.map(({ when, serve }) => ({ when, serve })));
  return essence(before) === essence(after);
}

function endOfRules(state: FlagState): ServedValue {
  return state.rollout === null ? { variant: state.default_variant } : { rollout: state.rollout };
}

function servedPairs(before: FlagState, after: FlagState): ServedPair[] {
  const ofRules = new Map(before.rules.map(({ serve }) => [canonicalJson(serve), serve]));
  return [
    ...[...ofRules.values()].map((serve) => [serve, serve] as const),
    [endOfRules(before), endOfRules(after)],
  ];
}

function answerAt(served: ServedValue, bucket: number | null, safeVariant: string): string {
  if ('variant' in served) return served.variant;
  return (bucket === null ? null : variantAt(served.rollout, bucket)) ?? safeVariant;
}

/** The first bucket of every stretch in which all the rollouts serve one variant each. Sorted. */
function stretchStarts(pairs: readonly ServedPair[]): number[] {
  const starts = new Set([0]);
  for (const served of pairs.flat()) {
    if ('variant' in served) continue;
    let start = 0;
    for (const share of served.rollout) {
      start += weightOf(share.percent);
      // The end itself is no bucket and answers like a missing organization, which is compared anyway.
      starts.add(start);
    }
  }
  return [...starts].sort((one, other) => one - other);
}

/** The start of the stretch that a bucket is in. */
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

/** The organizations in the audience, as a set that is made once: audiences are long. */
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

function addAnswers(found: Findings, was: string, is: string, safeVariant: string): void {
  const wasExposed = was !== safeVariant;
  const isExposed = is !== safeVariant;
  found.exposedBefore ||= wasExposed;
  found.exposedAfter ||= isExposed;
  found.grew ||= !wasExposed && isExposed;
  found.shrank ||= wasExposed && !isExposed;
  found.swapped ||= wasExposed && isExposed && was !== is;
}

function addFindings(found: Findings, other: Findings): void {
  found.exposedBefore ||= other.exposedBefore;
  found.exposedAfter ||= other.exposedAfter;
  found.grew ||= other.grew;
  found.shrank ||= other.shrank;
  found.swapped ||= other.swapped;
}

/**
 * Compares the answers to one class of contexts: those in one bucket (null: none) that are, or are not, in the two
 * audiences. Each stretch of buckets is compared once, because two thousand organizations share a few stretches.
 */
function createClassComparison(pairs: readonly ServedPair[], starts: readonly number[], safeVariant: string) {
  const known = new Map<number, Findings>();

  function compare(start: number | null, isIn: Membership): Findings {
    const found = nothing();
    for (const [servedBefore, servedAfter] of pairs) {
      const was = isIn[0] ? answerAt(servedBefore, start, safeVariant) : safeVariant;
      const is = isIn[1] ? answerAt(servedAfter, start, safeVariant) : safeVariant;
      addAnswers(found, was, is, safeVariant);
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
 * Compares two states that have the same rules. Every answer is exact but for the rules: each counts as one that
 * somebody in the audience matches.
 */
export function compareExposure(pair: StatePair): Exposure {
  const { flagKey, safeVariant, before, after } = pair;
  const pairs = servedPairs(before, after);
  const starts = stretchStarts(pairs);
  const compareClass = createClassComparison(pairs, starts, safeVariant);
  const classes = exceptionClasses(pair);
  const [audienceBefore, audienceAfter] = [audienceOf(before), audienceOf(after)];
  const found: Exposure = { ...nothing(), organizationsGrown: [], organizationsShrunk: [] };

  /** `listed` tells in which of the audiences the organization is. */
  const compareClasses = (bucket: number | null, listed: Membership): Findings[] =>
    classes.map((byException) => {
      const ofClass = compareClass(bucket, [
        audienceBefore.everybody || (audienceBefore.somebody && (listed[0] || byException[0])),
        audienceAfter.everybody || (audienceAfter.somebody && (listed[1] || byException[1])),
      ]);
      addFindings(found, ofClass);
      return ofClass;
    });

  for (const bucket of [null, ...starts]) compareClasses(bucket, [false, false]);
  for (const organization of [
    ...new Set([...namedOrganizations(before), ...namedOrganizations(after)]),
  ].sort()) {
    const listed: Membership = [
      audienceBefore.organizations.has(organization),
      audienceAfter.organizations.has(organization),
    ];
    // The first class is that of the users without an exception: what they see is what the organization sees.
    const [ofOrganization] = compareClasses(bucketOf(flagKey, organization), listed);
    if (ofOrganization?.grew || ofOrganization?.swapped) found.organizationsGrown.push(organization);
    if (ofOrganization?.shrank) found.organizationsShrunk.push(organization);
  }
  return found;
}
