import { canonicalJson } from '../json.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Change, ChangeOf } from './changes.ts';
import { checkState, plannedAudience } from './check-state.ts';
import { creationFacts, definitionFacts, retirementFacts, stateFacts } from './facts.ts';
import { refuseChange } from './fault.ts';
import type { FlagDefinition, FlagState } from './model.ts';
import { onlyOtherVariant, plannedDefinition, updatedDefinition } from './plan-definition.ts';

/**
 * From a change and the flag as it is to the flag as it will be, with the facts. Pure: several changes of one flag in
 * one request are planned one after the other, each on what the one before left.
 */

/** What a change is planned on. */
export interface PlanInput {
  change: Change;
  /** The present definition, or null when there is no such flag. */
  definition: FlagDefinition | null;
  /** The present state in the environment; null counts as {@link initialStateOf}. */
  state: FlagState | null;
  /** For `return_to_version` the state at that version, or null when there was none; else null. */
  earlier: FlagState | null;
  /**
   * The flag's states in all environments, for `update` and `retire`: a variant that one of them serves is not removed,
   * retiring a flag that one of them exposes is `off`, and the facts name the organizations that they name.
   */
  states_in_use?: readonly FlagState[];
  now_ms: number;
  /** The key of the environment, for the texts of refusals. */
  environment: string;
}

/** The flag as it will be, and what policy is told about the change. */
export interface PlannedChange {
  /** The definition after the change, changed or not. */
  flag: FlagDefinition;
  action: Change['action'];
  scope: ChangeFacts['scope'];
  /** The new definition, or null when it stays. */
  definition: FlagDefinition | null;
  /** The new state in the environment, or null when it stays. */
  state: FlagState | null;
  /** The document that changes, before and after: states for scope `state`, definitions for scope `definition`. */
  before: FlagDefinition | FlagState | null;
  after: FlagDefinition | FlagState;
  facts: ChangeFacts;
}

/**
 * The state of a new flag in every environment: disabled, and for everybody once it is enabled.
 *
 * @throws BrokerError `invalid_change` when the definition has no such variant
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
 * The state in an environment that has none yet, because it came after the flag: disabled. Of two variants the other one
 * is the default; among more it is the safe one, so that enabling alone exposes nobody.
 */
export function initialStateOf(definition: FlagDefinition): FlagState {
  const { variants, safe_variant: safeVariant } = definition;
  return initialState(definition, onlyOtherVariant(variants, safeVariant) ?? safeVariant);
}

type ExistingFlag = PlanInput & { definition: FlagDefinition };
type FlagWithState = ExistingFlag & { state: FlagState };

function refuseNoEffect(): never {
  return refuseChange('#', 'The flag is like that already; leave this change out.');
}

function isSame(one: unknown, other: unknown): boolean {
  return canonicalJson(one) === canonicalJson(other);
}

function planCreation(change: ChangeOf<'create'>, input: PlanInput): PlannedChange {
  if (input.definition !== null) {
    refuseChange(
      '#/flag',
      'There is, or was, a flag with this key, and keys are not used again; choose another.',
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

function stateAsRolledOut(change: ChangeOf<'set_rollout'>, state: FlagState): FlagState {
  return {
    ...state,
    ...(change.rollout === undefined ? {} : { rollout: change.rollout }),
    ...(change.rules === undefined ? {} : { rules: change.rules }),
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
  // Switching off is never refused, not even in a state that would not be accepted today.
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
  if (definition === null) return refuseChange('#/flag', 'There is no flag with this key; create it first.');
  if (definition.retired)
    return refuseChange('#/flag', 'The flag is retired; create another with a new key.');
  return { ...input, definition };
}

function flagWithState(input: PlanInput): FlagWithState {
  const flag = existingFlag(input);
  return { ...flag, state: flag.state ?? initialStateOf(flag.definition) };
}

/**
 * Plans one change: the documents as they will be, and the facts that policy decides on.
 *
 * @throws BrokerError `invalid_change` when the change cannot be made to this flag or would change nothing;
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
