import { bucketOf, variantAt } from '../flags/bucket.ts';
import type { Audience, FlagDefinition, FlagState, Rollout } from '../flags/model.ts';
import type { VariantValue } from '../flags/variants.ts';
import { attributeOf, type EvaluationContext, ruleMatches } from './conditions.ts';

/**
 * The version of the evaluator. Changes whenever the same state and context could evaluate differently. It is part of
 * every ETag.
 */
export const EVALUATOR_VERSION = 2;

/**
 * Why a variant was served. `STATIC`: everybody gets it, so clients may cache it for every context. `DEFAULT`: the flag
 * has an audience, rules or a rollout, and none of them chose a variant for this context.
 *
 * @see OpenFeature specification, `resolution_details`, `reason`
 */
export type EvaluationReason = 'STATIC' | 'TARGETING_MATCH' | 'SPLIT' | 'DISABLED' | 'DEFAULT';

/** The evaluation of one flag for one context. */
export interface Evaluation {
  value: VariantValue;
  variant: string;
  reason: EvaluationReason;
}

/** The input of the evaluator. The lists of the audience MUST be sorted, as `planChange` returns them. */
export interface EvaluationInput {
  definition: FlagDefinition;
  state: FlagState;
  context: EvaluationContext;
  now_ms: number;
}

/** Finds the item with this key in a list sorted by key. */
function findSorted<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  key: string,
): Item | undefined {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item === undefined) return undefined;
    const found = keyOf(item);
    if (found === key) return item;
    if (found < key) low = middle + 1;
    else high = middle;
  }
  return undefined;
}

type NamedUser = Extract<Audience, { kind: 'some' }>['users'][number];
const organizationKey = (organization: string): string => organization;
const userKey = (user: NamedUser): string => user.id;

/** Whether a context is in an audience, by its organization or by an exception for its user. */
export function isInAudience(audience: Audience, context: EvaluationContext, nowMs: number): boolean {
  if (audience.kind !== 'some') return audience.kind === 'all';
  const organization = attributeOf(context, 'organization');
  if (typeof organization === 'string') {
    if (findSorted(audience.organizations, organizationKey, organization) !== undefined) return true;
  }
  const targetingKey = attributeOf(context, 'targetingKey');
  if (typeof targetingKey !== 'string') return false;
  const user = findSorted(audience.users, userKey, targetingKey);
  return user !== undefined && nowMs < user.exception.until_ms;
}

/** The variant, or the safe one if the flag has no variant of that name. */
export function variantOrSafe(definition: FlagDefinition, variant: string): string {
  return Object.hasOwn(definition.variants, variant) ? variant : definition.safe_variant;
}

function serve(definition: FlagDefinition, variant: string, reason: EvaluationReason): Evaluation {
  const known = variantOrSafe(definition, variant);
  return { value: definition.variants[known] ?? false, variant: known, reason };
}

/** All users of an organization get the same variant. A context without a bucket gets the safe variant. */
function serveRollout(definition: FlagDefinition, rollout: Rollout, context: EvaluationContext): Evaluation {
  const bucket = bucketOf(definition.key, attributeOf(context, 'organization'));
  const variant = bucket === null ? null : variantAt(rollout, bucket);
  return variant === null
    ? serve(definition, definition.safe_variant, 'DEFAULT')
    : serve(definition, variant, 'SPLIT');
}

/**
 * Evaluates a flag for a context. Never throws, whatever the context. The caller must refuse retired flags. The order
 * is: the safe variant for a disabled flag or a context outside the audience, the first matching rule, the rollout, the
 * default variant.
 */
export function evaluate({ definition, state, context, now_ms: nowMs }: EvaluationInput): Evaluation {
  if (!state.enabled) return serve(definition, definition.safe_variant, 'DISABLED');
  if (!isInAudience(state.audience, context, nowMs))
    return serve(definition, definition.safe_variant, 'DEFAULT');
  for (const rule of state.rules) {
    if (!ruleMatches(rule, context)) continue;
    return 'variant' in rule.serve
      ? serve(definition, rule.serve.variant, 'TARGETING_MATCH')
      : serveRollout(definition, rule.serve.rollout, context);
  }
  if (state.rollout !== null) return serveRollout(definition, state.rollout, context);
  return serve(definition, state.default_variant, reasonOfDefault(state));
}

function reasonOfDefault(state: FlagState): EvaluationReason {
  if (state.audience.kind === 'some') return 'TARGETING_MATCH';
  return isContextFree(state) ? 'STATIC' : 'DEFAULT';
}

/** True when the result is the same for every context at any time, so it can be serialised once. */
export function isContextFree(state: FlagState): boolean {
  if (!state.enabled || state.audience.kind === 'none') return true;
  return state.audience.kind === 'all' && state.rules.length === 0 && state.rollout === null;
}
