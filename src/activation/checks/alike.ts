import { canonicalJson } from '../../json.ts';
import type { Principal } from '../../principal.ts';
import { fittingSources, keyOf, type Source } from './sources.ts';

/** Principals about whom policies answer the same, so that one of them is enough to ask about. */
export interface Alike {
  one: Principal;
  all: readonly Principal[];
  /** The sources that fit them, of those that the policies know. */
  sources: readonly Source[];
}

/**
 * Groups principals that are alike to policies.
 *
 * @param known the sources that the policies know, by key
 * @param options.byBindings whether only those tell principals apart. False for a module that may look at any group or
 *   claim.
 */
export function groupAlike(
  principals: readonly Principal[],
  known: ReadonlyMap<string, Source>,
  { byBindings }: { byBindings: boolean },
): Alike[] {
  const groups = Map.groupBy(principals, (principal) => {
    const { kind, issuer, person, started_by, token, groups: all, claims } = principal;
    const sources = knownSources(principal, known).map(keyOf);
    const others = byBindings ? null : [all.toSorted(), claims];
    // Of people, only whether they are known; of jobs, also who is behind them.
    const humans = kind === 'person' ? person === null : [person, started_by ?? []];
    return canonicalJson([kind, issuer, token.trust_rule, humans, sources, others]);
  });
  return [...groups.values()].map((all) => {
    const [one] = all;
    if (one === undefined) throw new Error('a group is never empty');
    return { one, all, sources: knownSources(one, known) };
  });
}

function knownSources(principal: Principal, known: ReadonlyMap<string, Source>): Source[] {
  const fitting = fittingSources(principal).filter((source) => known.has(keyOf(source)));
  return fitting.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}
