import { canonicalJson } from '../json.ts';
import { BUCKETS, weightOf } from './bucket.ts';
import { refuseChange } from './fault.ts';
import type { Audience, Condition, FlagDefinition, FlagState, Rollout, Rule } from './model.ts';
import { hasVariant } from './variants.ts';

/**
 * A state is stored, hashed, sent and evaluated by the policy as a whole, before and after a change. A state that is too
 * large to evaluate could not be switched off either.
 */
const MAX_STATE_BYTES = 64 * 1024;

/** Bounds the work of comparing the shares of all rollouts in the writing transaction. */
const MAX_SHARES = 500;

function listNames(names: Iterable<string>): string {
  return [...names].sort().join(', ');
}

function checkVariant(definition: FlagDefinition, variant: string, pointer: string): void {
  if (hasVariant(definition.variants, variant)) return;
  refuseChange(
    pointer,
    `The flag has no variant ${variant}; use one of: ${listNames(Object.keys(definition.variants))}.`,
  );
}

/** @throws BrokerError `invalid_change` for shares that do not sum to 100, a duplicate variant, or an unknown one */
function checkRollout(definition: FlagDefinition, rollout: Rollout, pointer: string): void {
  const seen = new Set<string>();
  for (const [index, share] of rollout.entries()) {
    checkVariant(definition, share.variant, `${pointer}/${index}/variant`);
    if (seen.has(share.variant))
      refuseChange(`${pointer}/${index}/variant`, `Duplicate variant ${share.variant}; name it once.`);
    seen.add(share.variant);
  }
  const total = rollout.reduce((sum, share) => sum + weightOf(share.percent), 0);
  if (total !== BUCKETS) {
    refuseChange(pointer, `The percentages sum to ${total / 1000}; they must sum to 100.`);
  }
}

const TEXT_OPERATORS: ReadonlySet<Condition['operator']> = new Set(['starts_with', 'ends_with']);
const NUMBER_OPERATORS: ReadonlySet<Condition['operator']> = new Set([
  'less_than',
  'less_or_equal',
  'greater_than',
  'greater_or_equal',
]);

function checkCondition(condition: Condition, pointer: string): void {
  const { attribute, operator, values } = condition;
  if (attribute === 'targetingKey') {
    refuseChange(
      `${pointer}/attribute`,
      'Name single users in the audience, each with an exception, not in a rule.',
    );
  }
  if (TEXT_OPERATORS.has(operator) && values.some((value) => typeof value !== 'string')) {
    refuseChange(`${pointer}/values`, `Operator ${operator} compares strings; use only strings.`);
  }
  if (NUMBER_OPERATORS.has(operator) && values.some((value) => typeof value !== 'number')) {
    refuseChange(`${pointer}/values`, `Operator ${operator} compares numbers; use only numbers.`);
  }
}

function checkRules(definition: FlagDefinition, rules: readonly Rule[]): void {
  const names = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    const pointer = `#/rules/${index}`;
    if (names.has(rule.name))
      refuseChange(`${pointer}/name`, 'Duplicate rule name; rule names must be unique.');
    names.add(rule.name);
    for (const [place, condition] of rule.when.entries())
      checkCondition(condition, `${pointer}/when/${place}`);
    if ('variant' in rule.serve) checkVariant(definition, rule.serve.variant, `${pointer}/serve/variant`);
    else checkRollout(definition, rule.serve.rollout, `${pointer}/serve/rollout`);
  }
}

function checkUnique(names: readonly string[], pointer: string): void {
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (seen.has(name)) refuseChange(`${pointer}/${index}`, `Duplicate name ${name}; name it once.`);
    seen.add(name);
  }
}

/**
 * The audience in its stored form: with sorted lists, so that equal audiences are equal documents.
 *
 * @throws BrokerError `invalid_change` for an empty audience, a duplicate name, or an expired exception
 */
export function plannedAudience(audience: Audience, nowMs: number): Audience {
  if (audience.kind !== 'some') return audience;
  const { organizations, users } = audience;
  if (organizations.length === 0 && users.length === 0) {
    refuseChange('#/audience', 'The audience is empty; use the audience `none`, or name organizations.');
  }
  checkUnique(organizations, '#/audience/organizations');
  checkUnique(
    users.map(({ id }) => id),
    '#/audience/users',
  );
  for (const [index, user] of users.entries()) {
    if (user.exception.until_ms > nowMs) continue;
    refuseChange(
      `#/audience/users/${index}/exception/until_ms`,
      `The exception of ${user.id} has expired; set a time in the future or remove the user.`,
    );
  }
  return {
    kind: 'some',
    organizations: organizations.toSorted(),
    users: users.toSorted((one, other) => (one.id < other.id ? -1 : 1)),
  };
}

/**
 * Checks that a state fits the definition: known variants, complete rollouts, rules that can match and name no single
 * user, at most 500 shares in all rollouts, at most 64 KiB.
 *
 * @throws BrokerError `invalid_change`
 */
export function checkState(definition: FlagDefinition, state: FlagState): void {
  checkVariant(definition, state.default_variant, '#/default_variant');
  if (state.rollout !== null) checkRollout(definition, state.rollout, '#/rollout');
  checkRules(definition, state.rules);
  checkShares(state);
  if (Buffer.byteLength(canonicalJson(state)) > MAX_STATE_BYTES) {
    refuseChange(
      '#',
      `The state is larger than ${MAX_STATE_BYTES / 1024} KiB; name fewer organizations or rules.`,
    );
  }
}

function checkShares({ rollout, rules }: FlagState): void {
  const ofRules = rules.map(({ serve }) => ('rollout' in serve ? serve.rollout.length : 0));
  const count = ofRules.reduce((sum, shares) => sum + shares, rollout?.length ?? 0);
  if (count > MAX_SHARES)
    refuseChange('#', `The rollouts have ${count} shares; use at most ${MAX_SHARES} in total.`);
}

/** The variants that a state may serve, besides the safe one. */
export function variantsInUse(state: FlagState): Set<string> {
  const rollouts = state.rules.flatMap(({ serve }) => ('rollout' in serve ? serve.rollout : []));
  const fixed = state.rules.flatMap(({ serve }) => ('variant' in serve ? serve.variant : []));
  return new Set([
    state.default_variant,
    ...fixed,
    ...[...rollouts, ...(state.rollout ?? [])].map(({ variant }) => variant),
  ]);
}
