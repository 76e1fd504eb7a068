import { canonicalJson } from '../json.ts';
import { inFormerOrder } from './bucket.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Change, ChangeOf } from './changes.ts';
import { checkState, plannedAudience } from './check-state.ts';
import { creationFacts, definitionFacts, retirementFacts, stateFacts } from './facts.ts';
import { refuseChange } from './fault.ts';
import type { FlagDefinition, FlagState, Rule } from './model.ts';
import { onlyOtherVariant, plannedDefinition, updatedDefinition } from './plan-definition.ts';

/**
 * Computes the new flag and the facts from a change and the current flag. Pure. Several changes of one flag in one request
 * are planned in sequence, each on the result of the one before.
 */

/** The input of a plan. */
export interface PlanInput {
  change: Change;
  /** The current definition, or null if the flag does not exist. */
  definition: FlagDefinition | null;
  /** The current state in the environment; null counts as {@link initialStateOf}. */
  state: FlagState | null;
  /** For `return_to_version`, the state at that version, or null if there was none; otherwise null. */
  earlier: FlagState | null;
  /**
   * The flag's states in all environments, for `update` and `retire`: a variant that one of them serves is not removed,
   * retiring a flag that one of them exposes is `off`, and the facts include the organizations that they name.
   */
  states_in_use?: readonly FlagState[];
  now_ms: number;
  /** The key of the environment, for the texts of refusals. */
  environment: string;
}

/** The new flag, and the facts of the change for the policy. */
export interface PlannedChange {
  /** The definition after the change, changed or not. */
  flag: FlagDefinition;
  action: Change['action'];
  scope: ChangeFacts['scope'];
  /** The new definition, or null if it is unchanged. */
  definition: FlagDefinition | null;
  /** The new state in the environment, or null if it is unchanged. */
  state: FlagState | null;
  /** The document that changes, before and after: states for scope `state`, definitions for scope `definition`. */
  before: FlagDefinition | FlagState | null;
  after: FlagDefinition | FlagState;
  facts: ChangeFacts;
}

/**
 * The state of a new flag in every environment: disabled, with the audience `all`.
 *
 * @throws BrokerError `invalid_change` if the definition has no such variant
 */
export function initialState(definition: FlagDefinition, defaultVariant: string): FlagState {
  const state: FlagState = {
    enabled: false,
    default_variant: defaultVariant,
    audience: { kind: 'all' },
    rules: [],
    rollout: null,
  };
  checkState(definition, state);
  return state;
}

/**
 * The state in an environment that was added after the flag: disabled. With two variants, the default is the one that is
 * not safe; with more, it is the safe one, so that enabling alone exposes nobody.
 */
export function initialStateOf(definition: FlagDefinition): FlagState {
  const { variants, safe_variant: safeVariant } = definition;
  return initialState(definition, onlyOtherVariant(variants, safeVariant) ?? safeVariant);
}

type ExistingFlag = PlanInput & { definition: FlagDefinition };
type FlagWithState = ExistingFlag & { state: FlagState };

function refuseNoEffect(): never {
  return refuseChange('#', 'The change has no effect; remove it.');
}

function isSame(one: unknown, other: unknown): boolean {
  return canonicalJson(one) === canonicalJson(other);
}

function planCreation(change: ChangeOf<'create'>, input: PlanInput): PlannedChange {
  if (input.definition !== null) {
    refuseChange(
      '#/flag',
      'This key is or was used by another flag, and keys cannot be reused; choose another.',
    );
  }
  const { definition, defaultVariant } = plannedDefinition(change, input.now_ms);
  return {
    flag: definition,
    action: 'create',
    scope: 'definition',
    definition,
    state: initialState(definition, defaultVariant),
    before: null,
    after: definition,
    facts: creationFacts(definition),
  };
}

function plannedForDefinition(input: ExistingFlag, after: FlagDefinition, facts: ChangeFacts): PlannedChange {
  const { action } = input.change;
  if (isSame(input.definition, after)) refuseNoEffect();
  return {
    flag: after,
    action,
    scope: 'definition',
    definition: after,
    state: null,
    before: input.definition,
    after,
    facts,
  };
}

function knownStates({ state, states_in_use: states = [] }: PlanInput): FlagState[] {
  return state === null ? [...states] : [state, ...states];
}

function planUpdate(change: ChangeOf<'update'>, input: ExistingFlag): PlannedChange {
  const states = knownStates(input);
  const after = updatedDefinition(change, input.definition, states, input.now_ms);
  return plannedForDefinition(input, after, definitionFacts(input.definition, after, states));
}

function planRetirement(input: ExistingFlag): PlannedChange {
  const facts = retirementFacts(input.definition, knownStates(input), input.now_ms);
  return plannedForDefinition(input, { ...input.definition, retired: true }, facts);
}

/** A rule, whose shares stay in the order of those of the former rule of that name. */
function ruleInOrder(rule: Rule, former: readonly Rule[]): Rule {
  const before = former.find(({ name }) => name === rule.name)?.serve;
  if (before === undefined || !('rollout' in before) || !('rollout' in rule.serve)) return rule;
  return { ...rule, serve: { rollout: inFormerOrder(rule.serve.rollout, before.rollout) } };
}

function stateAsRolledOut({ rollout, ...change }: ChangeOf<'set_rollout'>, state: FlagState): FlagState {
  return {
    ...state,
    ...(rollout === undefined ? {} : { rollout: rollout && inFormerOrder(rollout, state.rollout) }),
    ...(change.rules === undefined
      ? {}
      : { rules: change.rules.map((rule) => ruleInOrder(rule, state.rules)) }),
    ...(change.default_variant === undefined ? {} : { default_variant: change.default_variant }),
  };
}

function earlierState(input: FlagWithState): FlagState {
  return input.earlier ?? refuseChange('#/version', `The flag has no such version in ${input.environment}.`);
}

type StateAction = Exclude<Change['action'], 'create' | 'update' | 'retire'>;

function nextState(change: ChangeOf<StateAction>, input: FlagWithState): FlagState {
  switch (change.action) {
    case 'enable':
      return { ...input.state, enabled: true };
    case 'disable':
      return { ...input.state, enabled: false };
    case 'set_audience':
      return { ...input.state, audience: plannedAudience(change.audience, input.now_ms) };
    case 'set_rollout':
      return stateAsRolledOut(change, input.state);
    case 'return_to_version':
      return earlierState(input);
  }
}

function planState(change: ChangeOf<StateAction>, input: FlagWithState): PlannedChange {
  const { definition, state: before, now_ms: nowMs } = input;
  const after = nextState(change, input);
  if (isSame(before, after)) refuseNoEffect();
  // Switching off is never refused, even if the state would not pass today's checks.
  if (change.action !== 'disable') checkState(definition, after);
  const returnsTo = change.action === 'return_to_version' ? change.version : null;
  return {
    flag: definition,
    action: change.action,
    scope: 'state',
    definition: null,
    state: after,
    before,
    after,
    facts: stateFacts({ definition, before, after, nowMs, returnsTo }),
  };
}

function existingFlag(input: PlanInput): ExistingFlag {
  const { definition } = input;
  if (definition === null) return refuseChange('#/flag', 'No flag has this key; create it first.');
  if (definition.retired)
    return refuseChange('#/flag', 'The flag is retired; create a new flag with a different key.');
  return { ...input, definition };
}

function flagWithState(input: PlanInput): FlagWithState {
  const flag = existingFlag(input);
  return { ...flag, state: flag.state ?? initialStateOf(flag.definition) };
}

/**
 * Plans one change: the new documents, and the facts for the policy.
 *
 * @throws BrokerError `invalid_change` if the change cannot be made to this flag or has no effect;
 *   `errors[].pointer` is relative to the change
 */
export function planChange(input: PlanInput): PlannedChange {
  const { change } = input;
  switch (change.action) {
    case 'create':
      return planCreation(change, input);
    case 'update':
      return planUpdate(change, existingFlag(input));
    case 'retire':
      return planRetirement(existingFlag(input));
    default:
      return planState(change, flagWithState(input));
  }
}
