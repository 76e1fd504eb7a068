import { canonicalJson } from '../json.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Exposure, StatePair } from './exposure.ts';
import type { FlagState, Rule } from './model.ts';
import { isPositive } from './rule-pairs.ts';

/**
 * Which organizations a change concerns so much that their account-approvers are asked, whatever its direction: a flag
 * that is enabled for all names nobody, and narrowing it to one organization makes nothing less safe, but together they
 * are a decision about that organization.
 */

/** The facts of consultation. */
export type ConsultationFacts = Required<Pick<ChangeFacts, 'organizations_named' | 'reaches_everybody'>>;

/** The facts of consultation of a change of a flag's state. */
export function consultationFacts({ before, after }: StatePair, exposure: Exposure): ConsultationFacts {
  const wasNamed = organizationsChosen(before);
  return {
    organizations_named: [...organizationsChosen(after)]
      .filter((organization) => exposure.organizationsExposedAfter.has(organization))
      .filter(
        (organization) =>
          !(wasNamed.has(organization) && exposure.organizationsExposedBefore.has(organization)),
      )
      .sort(),
    reaches_everybody:
      exposure.unnamedReached || (exposure.unnamedExposedAfter && singlesOutUnnamed(before, after)),
  };
}

/** The organizations that a state chooses by name. Those that it names as an exception are not chosen. */
function organizationsChosen({ audience, rules }: FlagState): Set<string> {
  const inRules = rules
    .flatMap(({ when }) => when)
    .filter((condition) => condition.attribute === 'organization' && isPositive(condition))
    .flatMap(({ values }) => values.filter((value) => typeof value === 'string'));
  return new Set([...(audience.kind === 'some' ? audience.organizations : []), ...inRules]);
}

/**
 * True if the second state has a rule that chooses contexts by another attribute, or by a negation, and that the first
 * did not have: it may choose any organization.
 */
function singlesOutUnnamed(before: FlagState, after: FlagState): boolean {
  const known = new Set(before.rules.map(essenceOf));
  return after.rules.some((rule) => !choosesByName(rule) && !known.has(essenceOf(rule)));
}

function choosesByName({ when }: Rule): boolean {
  return when.some((condition) => condition.attribute === 'organization' && isPositive(condition));
}

function essenceOf({ when, serve }: Rule): string {
  return canonicalJson({ when, serve });
}
