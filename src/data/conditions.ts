import type { Condition, Rule } from '../flags/model.ts';

/** The evaluation context that an application sends. It is untrusted: read it only with `attributeOf`. */
export type EvaluationContext = Readonly<Record<string, unknown>>;

/** An attribute of the context, or undefined. Reads only own members, so `constructor` is undefined. */
export function attributeOf(context: EvaluationContext, name: string): unknown {
  return Object.hasOwn(context, name) ? context[name] : undefined;
}

function holdsForText(operator: Condition['operator'], actual: string, expected: string): boolean {
  if (operator === 'starts_with') return actual.startsWith(expected);
  if (operator === 'ends_with') return actual.endsWith(expected);
  return operator === 'contains' && actual.includes(expected);
}

function holdsForNumber(operator: Condition['operator'], actual: number, expected: number): boolean {
  switch (operator) {
    case 'less_than':
      return actual < expected;
    case 'less_or_equal':
      return actual <= expected;
    case 'greater_than':
      return actual > expected;
    default:
      return operator === 'greater_or_equal' && actual >= expected;
  }
}

function compares(
  operator: Condition['operator'],
  actual: unknown,
  expected: string | number | boolean,
): boolean {
  if (Array.isArray(actual)) return operator === 'contains' && actual.includes(expected);
  if (typeof actual === 'string' && typeof expected === 'string')
    return holdsForText(operator, actual, expected);
  if (typeof actual === 'number' && typeof expected === 'number')
    return holdsForNumber(operator, actual, expected);
  return false;
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/**
 * True when the condition is met. If there are several values, one match is enough; for `not_equals` and `not_in` none
 * may be equal. Values are not converted: values of different types are not equal. A missing, null or object attribute
 * makes every condition false, including negative ones, because an unknown value matches nothing.
 */
function holds(condition: Condition, context: EvaluationContext): boolean {
  const actual = attributeOf(context, condition.attribute);
  const { operator, values } = condition;
  switch (operator) {
    case 'equals':
    case 'in':
      return isScalar(actual) && values.includes(actual);
    case 'not_equals':
    case 'not_in':
      return isScalar(actual) && !values.includes(actual);
    default:
      for (const expected of values) if (compares(operator, actual, expected)) return true;
      return false;
  }
}

/** True when every condition of the rule is met. */
export function ruleMatches(rule: Rule, context: EvaluationContext): boolean {
  for (const condition of rule.when) if (!holds(condition, context)) return false;
  return true;
}
