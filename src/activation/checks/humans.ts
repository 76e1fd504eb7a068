import { resolvePerson } from '../../policy/persons.ts';
import type { Policy } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';
import type { Both } from './check.ts';

/** Names that belong to one human under one of two policies, and not under the other. */
export interface HumanChange {
  /** `merged`: they become one human; `separated`: one human becomes several, who could approve what each other wrote. */
  change: 'merged' | 'separated';
  names: string[];
}

/** The names of persons that two policies take for other humans. */
export function humanChanges(policies: Both<Policy>, principals: readonly Principal[]): HumanChange[] {
  const names = new Set([
    ...[policies.active, policies.candidate].flatMap(({ broker }) => [...broker.persons].flat()),
    ...principals.flatMap(({ person, started_by = [] }) =>
      person === null ? started_by : [person, ...started_by],
    ),
  ]);
  const all = [...names].sort();
  return [
    ...split(all, { together: policies.candidate, apart: policies.active }).map(
      (same): HumanChange => ({ change: 'merged', names: same }),
    ),
    ...split(all, { together: policies.active, apart: policies.candidate }).map(
      (same): HumanChange => ({ change: 'separated', names: same }),
    ),
  ];
}

/** The names of each human of one policy that are several humans for another. */
function split(
  names: readonly string[],
  { together, apart }: { together: Policy; apart: Policy },
): string[][] {
  const humans = Map.groupBy(names, (name) => resolvePerson(together, name));
  return [...humans.values()].filter(
    (same) => new Set(same.map((name) => resolvePerson(apart, name))).size > 1,
  );
}
