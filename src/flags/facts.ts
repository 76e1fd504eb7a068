import { canonicalJson } from '../json.ts';
import type { ChangeFacts, Direction } from './change-facts.ts';
import { consultationFacts } from './consultation.ts';
import {
  compareExposure,
  type Exposure,
  exceptionEnd,
  namedOrganizations,
  type StatePair,
} from './exposure.ts';
import { type FlagDefinition, type FlagState, TIERS } from './model.ts';
import { movedFacts } from './moved-share.ts';
import { type ServedPair, servedPairs } from './rule-pairs.ts';
import { safetyFacts } from './safety.ts';

/**
 * The facts of one change, computed by the broker as input for the policy. If a fact cannot be determined (too many rules
 * to compare, a new safe variant), the most dangerous possibility is assumed: `widen`, grown, not safe.
 */

/** What {@link stateFacts} compares. */
export interface StateChange {
  definition: FlagDefinition;
  before: FlagState;
  after: FlagState;
  nowMs: number;
  /** The earlier version that the change returns to, or null. */
  returnsTo: number | null;
}

function directionOf(exposure: Exposure): Direction {
  if (!exposure.exposedBefore) return exposure.exposedAfter ? 'on' : 'neutral';
  if (!exposure.exposedAfter) return 'off';
  if (exposure.grew || exposure.swapped) return 'widen';
  return exposure.shrank ? 'narrow' : 'neutral';
}

/**
 * If there are too many rules to compare, each state is judged on its own. Every possible difference between the two is
 * assumed, and every organization that one of them names counts as touched.
 */
function exposureOf(pair: StatePair, pairs: readonly ServedPair[] | null): Exposure {
  if (pairs !== null) return compareExposure(pair, pairs);
  const before = exposureAlone(pair, pair.before);
  const after = exposureAlone(pair, pair.after);
  const [namedBefore, namedAfter] = [namedOrganizations(pair.before), namedOrganizations(pair.after)];
  return {
    exposedBefore: before.exposedBefore,
    exposedAfter: after.exposedAfter,
    grew: after.exposedAfter,
    shrank: before.exposedBefore,
    swapped: before.exposedBefore && after.exposedAfter,
    organizationsGrown: [...namedAfter],
    organizationsShrunk: [...namedBefore].filter((organization) => !namedAfter.has(organization)),
    organizationsExposedBefore: new Set(),
    organizationsExposedAfter: after.organizationsExposedAfter,
    swaps: [],
    unnamedReached: after.unnamedExposedAfter,
    unnamedExposedAfter: after.unnamedExposedAfter,
  };
}

/** The exposure of one state. */
function exposureAlone(pair: StatePair, state: FlagState): Exposure {
  return compareExposure({ ...pair, before: state, after: state }, servedPairs(state, state) ?? []);
}

function membership(state: FlagState): (organization: string) => boolean {
  if (state.audience.kind !== 'some') return () => state.audience.kind === 'all';
  const listed = new Set(state.audience.organizations);
  return (organization) => listed.has(organization);
}

/** Organizations that the second state names in its audience, and that were not in the audience of the first. */
function organizationsGained(from: FlagState, to: FlagState): string[] {
  const wasMember = membership(from);
  const inAudience = to.audience.kind === 'some' ? to.audience.organizations : [];
  return inAudience.filter((organization) => !wasMember(organization));
}

/** Puts each organization into one of the two lists, without duplicates, to keep the policy's input small. */
function organizationsTouched(
  { before, after }: StatePair,
  exposure: Exposure,
): Pick<ChangeFacts, 'organizations_added' | 'organizations_removed'> {
  const added = new Set([...organizationsGained(before, after), ...exposure.organizationsGrown]);
  const removed = [...organizationsGained(after, before), ...exposure.organizationsShrunk];
  return {
    organizations_added: sorted(added),
    organizations_removed: sorted(removed.filter((organization) => !added.has(organization))),
  };
}

/** Users whose exception is new or ends later in the second state, as written or as served (a disabled flag serves nobody). */
function usersGained(from: FlagState, to: FlagState, nowMs: number): string[] {
  if (to.audience.kind !== 'some') return [];
  return to.audience.users
    .map(({ id }) => id)
    .filter((user) => {
      const end = exceptionEnd(to, user, nowMs);
      const endBefore = exceptionEnd(from, user, nowMs);
      return end > endBefore || (end > 0 && to.enabled && !from.enabled);
    });
}

function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

/**
 * The facts of a change of a flag's state. `organizations_added` and `users_added` contain those that only the new state
 * names, and those that both states name but the change newly exposes (enabling exposes the whole audience). The same
 * holds for `…_removed`. An organization that may be served a different variant is added, and so is a user whose exception
 * is extended.
 */
export function stateFacts({ definition, before, after, nowMs, returnsTo }: StateChange): ChangeFacts {
  const pair = {
    flagKey: definition.key,
    safeVariant: definition.safe_variant,
    before,
    after,
    nowMs,
  };
  const pairs = servedPairs(before, after);
  const exposure = exposureOf(pair, pairs);
  return {
    scope: 'state',
    direction: directionOf(exposure),
    audience_grew: exposure.grew,
    ...safetyFacts(exposure),
    ...consultationFacts(pair, exposure),
    ...movedFacts(pair, exposure, pairs),
    ...organizationsTouched(pair, exposure),
    users_added: sorted(usersGained(before, after, nowMs)),
    users_removed: sorted(usersGained(after, before, nowMs)),
    default_changed: before.default_variant !== after.default_variant,
    returns_to: returnsTo,
    tier_lowered_from: null,
    entitlement: definition.kind === 'entitlement',
    exception_used:
      after.audience.kind === 'some' &&
      after.audience.users.some(({ exception }) => exception.until_ms > nowMs),
  };
}

function unchanged(): ChangeFacts {
  return {
    scope: 'definition',
    direction: 'neutral',
    audience_grew: false,
    // Applications may have anything in their code for a flag that is changed or gone.
    safe: false,
    swaps: [],
    organizations_named: [],
    reaches_everybody: false,
    organizations_added: [],
    organizations_removed: [],
    users_added: [],
    users_removed: [],
    default_changed: false,
    returns_to: null,
    tier_lowered_from: null,
    entitlement: false,
    exception_used: false,
  };
}

/** The facts of a new flag: it starts disabled, so nobody sees it yet. */
export function creationFacts(definition: FlagDefinition): ChangeFacts {
  return { ...unchanged(), entitlement: definition.kind === 'entitlement' };
}

function changesServedValues(before: FlagDefinition, after: FlagDefinition): boolean {
  return Object.entries(before.variants).some(
    ([name, value]) =>
      Object.hasOwn(after.variants, name) && canonicalJson(value) !== canonicalJson(after.variants[name]),
  );
}

/**
 * The facts of a change of the definition. A different safe variant, or a different value of a variant, may change what
 * anybody is served, in environments that this change does not name: that is `widen`, grown. Adding or removing variants
 * that no state serves is `neutral`.
 *
 * `states` are the flag's states in all environments. A change of what is served, and a lowered tier, adds every
 * organization that one of them names. This includes disabled states: they serve the safe variant, and enabling them
 * would be judged by the lower tier.
 */
export function definitionFacts(
  before: FlagDefinition,
  after: FlagDefinition,
  states: readonly FlagState[],
): ChangeFacts {
  const safeVariantChanged = before.safe_variant !== after.safe_variant;
  const reaches = safeVariantChanged || changesServedValues(before, after);
  const lowersTier = TIERS.indexOf(after.tier) < TIERS.indexOf(before.tier);
  return {
    ...unchanged(),
    direction: reaches ? 'widen' : 'neutral',
    audience_grew: reaches,
    organizations_added:
      reaches || lowersTier ? sorted(states.flatMap((state) => [...namedOrganizations(state)])) : [],
    reaches_everybody: reaches || lowersTier,
    default_changed: safeVariantChanged,
    tier_lowered_from: lowersTier ? before.tier : null,
    entitlement: before.kind === 'entitlement' || after.kind === 'entitlement',
  };
}

/**
 * The facts of retiring a flag: afterwards no environment serves it, and applications use the default in their code. It
 * is `off` if one of the given states exposes anybody, otherwise `neutral`; those states' named audiences are removed.
 */
export function retirementFacts(
  definition: FlagDefinition,
  states: readonly FlagState[],
  nowMs: number,
): ChangeFacts {
  const exposures = states.map((state) => ({
    state,
    exposure: exposureAlone(
      { flagKey: definition.key, safeVariant: definition.safe_variant, before: state, after: state, nowMs },
      state,
    ),
  }));
  const serving = exposures.filter(({ exposure }) => exposure.exposedAfter).map(({ state }) => state);
  const users = serving.flatMap(({ audience }) => (audience.kind === 'some' ? audience.users : []));
  return {
    ...unchanged(),
    direction: serving.length > 0 ? 'off' : 'neutral',
    reaches_everybody: exposures.some(({ exposure }) => exposure.unnamedExposedAfter),
    organizations_removed: sorted(serving.flatMap((state) => [...namedOrganizations(state)])),
    users_removed: sorted(users.filter(({ exception }) => exception.until_ms > nowMs).map(({ id }) => id)),
    entitlement: definition.kind === 'entitlement',
  };
}
