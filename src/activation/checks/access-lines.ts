import { canonicalJson } from '../../json.ts';
import {
  type AccessDiff,
  type AccessSide,
  describeRight,
  MAX_LINES,
  MAX_NAMES,
  type RightView,
  rightsBeyond,
  viewOf,
} from './access-view.ts';
import type { Difference, Right } from './held-access.ts';
import { keyOf, type Source } from './sources.ts';
import type { Whom } from './whom.ts';

/** What was found about each of those who were asked about, in their order. */
export interface Found {
  groups: readonly Difference[];
  samples: readonly Difference[];
}

/**
 * One side of the difference of access.
 *
 * @param options.namespaces those that were compared by name
 */
export function sideOf(
  side: keyof Difference,
  { groups, samples, changed }: Whom,
  { found, namespaces }: { found: Found; namespaces: readonly string[] },
): AccessSide {
  const rightsOf = (of: readonly Difference[], at: number): Right[] => of[at]?.[side] ?? [];
  const lines = groups.flatMap((group, at) => {
    const rights = viewOf(rightsOf(found.groups, at), namespaces);
    if (rights.length === 0) return [];
    const by = group.sources.filter((source) => changed.has(keyOf(source)));
    return [{ names: group.all.map(({ person, id }) => person ?? id), by, rights }];
  });
  // People whose groups differ may get the same.
  const merged = [...Map.groupBy(lines, ({ by, rights }) => JSON.stringify([by, rights])).values()].map(
    (same) => {
      const names = [...new Set(same.flatMap((line) => line.names))].sort();
      const { by, rights } = same[0] ?? { by: [], rights: [] };
      return { names: names.slice(0, MAX_NAMES), count: names.length, by, rights };
    },
  );
  const bySource = Map.groupBy(samples.entries(), ([, { source }]) => source);
  const bindings = [...bySource].flatMap(([source, of]) => {
    const rights = viewOf(
      of.flatMap(([at]) => rightsOf(found.samples, at)),
      namespaces,
    );
    return rights.length === 0 ? [] : [{ ...source, holders: holdersOf(groups, source), rights }];
  });
  return {
    principals: merged.slice(0, MAX_LINES),
    bindings: bindings.slice(0, MAX_LINES),
    left_out: Math.max(0, merged.length - MAX_LINES) + Math.max(0, bindings.length - MAX_LINES),
  };
}

function holdersOf(groups: Whom['groups'], source: Source): number {
  const key = keyOf(source);
  return groups
    .filter(({ sources }) => sources.some((other) => keyOf(other) === key))
    .reduce((sum, { all }) => sum + all.length, 0);
}

/** What a difference of access gives beyond another one, in words. */
export function gainedSince(approved: AccessDiff, present: AccessDiff): string[] {
  const describe = (who: string, rights: readonly RightView[]) =>
    rights.length === 0 ? [] : [`${who} may ${rights.map(describeRight).join(', ')}`];
  const ofBinding = ({ by, issuer, key }: Source) => keyOf({ by, issuer, key });
  const rightsOfBinding = Map.groupBy(approved.gained.bindings, ofBinding);
  const bindings = present.gained.bindings.flatMap((line) =>
    describe(
      `${line.by} ${line.key}`,
      rightsBeyond(
        line.rights,
        (rightsOfBinding.get(ofBinding(line)) ?? []).flatMap(({ rights }) => rights),
      ),
    ),
  );
  const principals = present.gained.principals.flatMap((line) => {
    // Of a long line not everybody was shown by name: it is approved as a whole.
    const long = approved.gained.principals.filter(({ count }) => count > MAX_NAMES);
    return line.names.flatMap((name) => {
      const lines = approved.gained.principals.filter(({ names }) => names.includes(name));
      return describe(
        name,
        rightsBeyond(
          line.rights,
          [...lines, ...long].flatMap(({ rights }) => rights),
        ),
      );
    });
  });
  const rules = present.trust_rules
    .filter(({ rule, change, after }) => {
      const same = approved.trust_rules.find((other) => other.rule === rule);
      return change !== 'removed' && canonicalJson(same?.after ?? null) !== canonicalJson(after);
    })
    .map(({ rule, change }) => `trust rule ${rule} is ${change}`);
  const rows = present.binding_changes
    .filter((change) => {
      const same = approved.binding_changes.find((other) => ofBinding(other) === ofBinding(change));
      const known = same === undefined ? [] : addedRows(same);
      return addedRows(change).some((row) => !known.includes(row));
    })
    .map(({ by, key }) => `the binding of ${by} ${key} has other rows`);
  const separated = present.persons
    .filter(
      ({ change, names }) =>
        change === 'separated' &&
        !approved.persons.some((other) => other.change === change && other.names.join() === names.join()),
    )
    .map(({ names }) => `${names.join(', ')} are several persons`);
  return [...principals, ...bindings, ...rules, ...rows, ...separated];
}

/** The rows that a binding gets, each in its canonical form. Others may change the same binding meanwhile. */
function addedRows({ before, after }: AccessDiff['binding_changes'][number]): string[] {
  const present = (before ?? []).map(canonicalJson);
  return (after ?? []).map(canonicalJson).filter((row) => !present.includes(row));
}
