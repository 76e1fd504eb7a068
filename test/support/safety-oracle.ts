import type { WireRule, WireShares, WireState } from './wire.ts';

/*
 * A judge of safety that uses none of the code that it judges: it serves two states to contexts made of everything that
 * they name, in every part of every rollout, and compares.
 */

/** One context: an attribute or none, an organization or none, a user or none, and a place in rollouts. */
interface Asked {
  attributes: Record<string, unknown>;
  /** In percent; null without an organization. */
  place: number | null;
  nowMs: number;
}

/** The contexts, of those made of what the states name, that are served neither the value of before nor the safe variant. */
export function findUnsafe(before: WireState, after: WireState, safeVariant: string, nowMs: number): Asked[] {
  return contextsOf([before, after], nowMs).filter((asked) => {
    const is = served(after, asked, safeVariant);
    return is !== safeVariant && is !== served(before, asked, safeVariant);
  });
}

function contextsOf(states: readonly WireState[], nowMs: number): Asked[] {
  const audiences = states.map(({ audience }) => audience);
  const users = audiences.flatMap((audience) => audience.users ?? []);
  const named = audiences.flatMap((audience) => audience.organizations ?? []);
  const conditions = states.flatMap(({ rules }) => rules).flatMap(({ when }) => when);
  const inRules = conditions
    .filter(({ attribute }) => attribute === 'organization')
    .flatMap(({ values }) => values);
  const others = conditions.filter(({ attribute }) => attribute !== 'organization');
  const attributes = [
    {},
    ...others.flatMap(({ attribute, values }) =>
      [...values, 'something else'].map((value) => ({ [attribute]: value })),
    ),
  ];
  const moments = [nowMs, ...users.map(({ exception }) => exception.until_ms).filter((end) => end > nowMs)];
  const places = [0, ...states.flatMap(rolloutsOf).flatMap(endsOf)].filter((place) => place < 100);
  return [...new Set([undefined, 'somebody else', ...named, ...inRules])].flatMap((organization) =>
    [...new Set([undefined, ...users.map(({ id }) => id)])].flatMap((targetingKey) =>
      attributes.flatMap((more) =>
        moments.flatMap((moment) =>
          (organization === undefined ? [null] : places).map((place) => ({
            attributes: { ...more, organization, targetingKey },
            place,
            nowMs: moment,
          })),
        ),
      ),
    ),
  );
}

function rolloutsOf({ rollout, rules }: WireState): WireShares[] {
  return [rollout, ...rules.map(({ serve }) => serve.rollout ?? null)].filter((shares) => shares !== null);
}

function endsOf(shares: WireShares): number[] {
  return shares.map((_, index) => sumOf(shares.slice(0, index + 1)));
}

function sumOf(shares: WireShares): number {
  return Math.round(shares.reduce((sum, { percent }) => sum + percent * 1000, 0)) / 1000;
}

function served(state: WireState, asked: Asked, safeVariant: string): string {
  if (!state.enabled || !isIn(state, asked)) return safeVariant;
  const rule = state.rules.find((each) => matches(each, asked));
  const { variant, rollout } = rule?.serve ?? { variant: state.default_variant, rollout: state.rollout };
  if (rollout === undefined || rollout === null) return variant ?? safeVariant;
  const { place } = asked;
  if (place === null) return safeVariant;
  return rollout.find((_, index) => place < sumOf(rollout.slice(0, index + 1)))?.variant ?? safeVariant;
}

function isIn({ audience }: WireState, { attributes, nowMs }: Asked): boolean {
  if (audience.kind !== 'some') return audience.kind === 'all';
  const user = audience.users?.find(({ id }) => id === attributes.targetingKey);
  return (
    audience.organizations?.some((name) => name === attributes.organization) === true ||
    (user !== undefined && nowMs < user.exception.until_ms)
  );
}

function matches({ when }: WireRule, { attributes }: Asked): boolean {
  return when.every(({ attribute, operator, values }) => {
    const value = attributes[attribute];
    if (value === undefined) return false;
    const text = String(value);
    switch (operator) {
      case 'equals':
      case 'in':
        return values.includes(value);
      case 'not_equals':
      case 'not_in':
        return !values.includes(value);
      case 'starts_with':
        return values.some((each) => text.startsWith(String(each)));
      case 'ends_with':
        return values.some((each) => text.endsWith(String(each)));
      case 'contains':
        return values.some((each) => text.includes(String(each)));
      default:
        throw new Error(`the judge of safety does not know ${operator}`);
    }
  });
}
