import { weightOf } from '../flags/bucket.ts';
import type { Audience, Condition, Rollout, Rule } from '../flags/model.ts';
import type { VariantValue } from '../flags/variants.ts';
import { isContextFree, variantOrSafe } from './evaluate.ts';
import type { SnapshotFlag } from './snapshot.ts';

/*
 * Flags as definitions of flagd, for flagd itself and for providers that evaluate in the application. They choose the same
 * variants as `evaluate.ts`. Reasons differ: flagd reports every rule, rollout and audience as `TARGETING_MATCH`, and a flag
 * that is off as `STATIC`.
 *
 * Two differences cannot be expressed. An exception for a user ends at a whole second, up to one second early, because flagd's
 * clock has no smaller unit. An organization whose key is not ASCII gets a bucket in a rollout, and the safe variant here;
 * organizations of audiences are always ASCII.
 */

/** A rule of JsonLogic. @see flagd specification, "Custom Operations"; https://jsonlogic.com/operations.html */
type Logic = string | number | boolean | null | readonly Logic[] | { readonly [operator: string]: Logic };

/** One flag. @see flagd-schemas, `json/flags.json` */
export interface FlagdDefinition {
  /** Never `DISABLED`: flagd then leaves the value to the application's code, which would undo a switch-off. */
  readonly state: 'ENABLED';
  readonly variants: Readonly<Record<string, VariantValue>>;
  readonly defaultVariant: string;
  readonly targeting?: Logic;
  readonly metadata: { readonly version: number };
}

/** The longest organization that gets a bucket, in characters; see `flags/bucket.ts`. */
const MAX_BUCKETED = 255;

/** What a number can begin with as text. */
const NUMBER_STARTS = ['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

const and = (...terms: Logic[]): Logic => ({ and: terms });
const or = (...terms: Logic[]): Logic => ({ or: terms });
const not = (term: Logic): Logic => ({ '!': [term] });

/** A missing attribute is null. */
const isPresent = (value: Logic): Logic => ({ '!==': [value, null] });

/** JsonLogic has no types, and arithmetic on other types is an error, so they are told apart by their text. */
const isText = (value: Logic): Logic => and(isPresent(value), { '===': [{ cat: [value] }, value] });

/** `merge` puts anything but a list into a list. */
const isList = (value: Logic): Logic => and(isPresent(value), not({ in: [value, { merge: [value] }] }));

const isNumber = (value: Logic): Logic =>
  and(isPresent(value), not(isText(value)), not(isList(value)), {
    in: [{ substr: [{ cat: [value] }, 0, 1] }, NUMBER_STARTS],
  });

const isScalar = (value: Logic): Logic => or(isText(value), { in: [value, [true, false]] }, isNumber(value));

const NUMERIC = {
  less_than: '<',
  less_or_equal: '<=',
  greater_than: '>',
  greater_or_equal: '>=',
} as const;

/** True if the value, a text, fulfils the operator for one of the texts. */
function textHolds(operator: Condition['operator'], value: Logic, expected: readonly string[]): Logic {
  return or(
    ...expected.map((text): Logic => {
      // JsonLogic takes an empty text for an empty list.
      if (operator === 'contains') return text === '' || { in: [text, value] };
      return { [operator]: [value, text] };
    }),
  );
}

/** @see `conditions.ts`, which this says again for JsonLogic */
function conditionLogic({ attribute, operator, values }: Condition): Logic {
  const value: Logic = { var: attribute };
  const texts = values.filter((expected) => typeof expected === 'string');
  switch (operator) {
    case 'equals':
    case 'in':
      return { in: [value, values] };
    case 'not_equals':
    case 'not_in':
      return and(isScalar(value), not({ in: [value, values] }));
    case 'starts_with':
    case 'ends_with':
      return and(isText(value), textHolds(operator, value, texts));
    case 'contains':
      return or(
        and(isText(value), textHolds(operator, value, texts)),
        and(isList(value), or(...values.map((expected): Logic => ({ in: [expected, value] })))),
      );
    default: {
      const numbers = values.filter((expected) => typeof expected === 'number');
      return and(
        isNumber(value),
        or(...numbers.map((expected): Logic => ({ [NUMERIC[operator]]: [value, expected] }))),
      );
    }
  }
}

/** Users by the second at which their exceptions end, so that a term is needed only for each end. */
function usersLogic(users: Extract<Audience, { kind: 'some' }>['users']): Logic[] {
  const byEnd = Map.groupBy(users, ({ exception }) => Math.floor(exception.until_ms / 1000));
  return [...byEnd].map(([endS, ending]) =>
    and(
      { in: [{ var: 'targetingKey' }, ending.map(({ id }) => id)] },
      { '<': [{ var: '$flagd.timestamp' }, endS] },
    ),
  );
}

function audienceLogic({ organizations, users }: Extract<Audience, { kind: 'some' }>): Logic {
  return or({ in: [{ var: 'organization' }, organizations] }, ...usersLogic(users));
}

/** Compiles one flag in its state. */
export function flagdDefinition({ definition, state, version }: SnapshotFlag): FlagdDefinition {
  const { variants, safe_variant: safe } = definition;
  const base = { state: 'ENABLED', variants, metadata: { version } } as const;
  const known = (variant: string) => variantOrSafe(definition, variant);
  if (isContextFree(state)) {
    const isOn = state.enabled && state.audience.kind === 'all';
    return { ...base, defaultVariant: isOn ? known(state.default_variant) : safe };
  }

  const organization: Logic = { var: 'organization' };
  const rolloutLogic = (rollout: Rollout): Logic => ({
    if: [
      and(
        isText(organization),
        { '!==': [organization, ''] },
        {
          '===': [{ substr: [organization, 0, MAX_BUCKETED] }, organization],
        },
      ),
      {
        fractional: [
          { cat: [{ var: '$flagd.flagKey' }, organization] },
          ...rollout.map(({ variant, percent }): Logic => [known(variant), weightOf(percent)]),
        ],
      },
      safe,
    ],
  });
  const ruleLogic = ({ when, serve }: Rule): Logic[] => [
    and(...when.map(conditionLogic)),
    'variant' in serve ? known(serve.variant) : rolloutLogic(serve.rollout),
  ];
  return { ...base, defaultVariant: safe, targeting: { if: branches() } };

  function branches(): Logic[] {
    const { audience, rules, rollout } = state;
    return [
      ...(audience.kind === 'some' ? [not(audienceLogic(audience)), safe] : []),
      ...rules.flatMap(ruleLogic),
      rollout === null ? known(state.default_variant) : rolloutLogic(rollout),
    ];
  }
}
