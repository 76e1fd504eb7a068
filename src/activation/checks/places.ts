import { canonicalJson } from '../../json.ts';
import type { AccessAnswer } from '../../policy/access.ts';
import type { Policy } from '../../policy/policies.ts';
import { trustRulesOf } from '../../trust/policy-rules.ts';
import { type Both, type CheckContext, SIDES } from './check.ts';
import { bindingRows } from './sources.ts';

/** A place that two policies are compared in. */
export interface ComparedPlace {
  environment: string;
  /** A namespace, or {@link OTHER_NAMESPACE}. */
  namespace: string;
}

/** Stands for every namespace that neither policy names. No namespace has this name. */
export const OTHER_NAMESPACE = '-other';

/** The most namespaces that are compared one by one. */
const MAX_NAMESPACES = 200;

/** What both policies say that principals have; null for one that does not say. */
export type Answers = Both<AccessAnswer | null>;

/**
 * The places that tell two policies apart.
 *
 * @param answers what the policies say of all bindings
 * @returns the places, the namespaces that are compared by name, and how many are left out because there are too many
 */
export function comparedPlaces(
  { policies, scope }: Pick<CheckContext, 'policies' | 'scope'>,
  answers: Answers,
): { places: ComparedPlace[]; namespaces: string[]; left_out: number } {
  const named = new Set(
    SIDES.flatMap((side) => namespacesIn(policies[side], answers[side])).filter((name) => name !== '*'),
  );
  const namespaces = [...named].sort().slice(0, MAX_NAMESPACES);
  return {
    places: scope.environments.flatMap((environment) =>
      [...namespaces, OTHER_NAMESPACE].map((namespace) => ({ environment, namespace })),
    ),
    namespaces,
    left_out: Math.max(0, named.size - MAX_NAMESPACES),
  };
}

/** The namespaces that bindings and trust rules of a policy name. */
function namespacesIn(policy: Policy, answer: AccessAnswer | null): string[] {
  const rows = [...bindingRows(policy).values()].flatMap((binding) => binding.rows);
  return [
    ...(answer?.bindings ?? []).flatMap(({ namespaces }) => namespaces),
    ...rows.flatMap((row) => namesIn((row as { namespaces?: unknown } | null)?.namespaces)),
    ...Object.values(trustRulesOf(policy)).flatMap(({ grant }) => grant.namespaces),
  ];
}

function namesIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

/** What policies say of one principal. */
export type Grants = Both<readonly AccessAnswer['grants'][number][] | null>;

/**
 * Groups places in which a principal has the same by both policies' own account, so that one of each group is enough to
 * ask about.
 */
export function alikePlaces(
  places: readonly ComparedPlace[],
  policies: Both<Policy>,
  grants: Grants,
): ComparedPlace[][] {
  if (SIDES.some((side) => grants[side] === null)) return places.map((place) => [place]);
  const inPlace = (of: Grants['active'], { environment, namespace }: ComparedPlace) =>
    (of ?? [])
      .filter(
        (grant) =>
          grant.environment === environment && (grant.namespace === '*' || grant.namespace === namespace),
      )
      .map(({ capability, binding }) => canonicalJson([capability, binding]))
      .sort();
  return [
    ...Map.groupBy(places, (place) =>
      canonicalJson(
        SIDES.map((side) => [
          policies[side].broker.environments.get(place.environment)?.kind ?? null,
          inPlace(grants[side], place),
        ]),
      ),
    ).values(),
  ];
}
