import type { AccessAnswer } from '../../policy/access.ts';
import type { Principal } from '../../principal.ts';
import { trustRulesOf } from '../../trust/policy-rules.ts';
import { bindingChanges, changedRules, isByName } from './affected.ts';
import { type Alike, groupAlike } from './alike.ts';
import { type Both, type CheckContext, isSameModule, SIDES } from './check.ts';
import type { Answers, ComparedPlace } from './places.ts';
import { samplePerson } from './samples.ts';
import { keyOf, type Source, samplesOf, sourcesOf } from './sources.ts';

/** The most groups of alike principals, and the most bindings, that are asked about. */
const MAX_ASKED = 400;
/** The most groups of one principal, in the input of a policy. */
const MAX_GROUPS = 1000;

/** About whom two policies are asked, to compare access. */
export interface Whom {
  /** Known principals, those first whom a change names. */
  groups: readonly Alike[];
  /** Bindings, with principals who have nothing else. */
  samples: readonly { source: Source; sample: Principal }[];
  /** The keys of the bindings and trust rules that differ. */
  changed: ReadonlySet<string>;
  /** How many groups and bindings are left out, because there are too many. */
  left_out: number;
  /** Somebody who may propose in a place under both policies. */
  proposerIn: (place: ComparedPlace) => Principal | null;
}

/** Finds about whom to ask. @param answers what the policies say of all bindings */
export function whomToAsk(
  { policies }: Pick<CheckContext, 'policies'>,
  principals: readonly Principal[],
  answers: Answers,
): Whom {
  const known = new Map(SIDES.flatMap((side) => [...sourcesOf(policies[side], answers[side])]));
  const changed = new Set([
    ...bindingChanges(policies).map(({ source }) => keyOf(source)),
    ...changedRules(policies).map((key) => keyOf({ by: 'trust_rule', issuer: null, key })),
  ]);
  const byName = isByName(policies);
  const rankOf = ({ sources }: Alike) => sources.filter((source) => changed.has(keyOf(source))).length;
  const groups = groupAlike(principals, known, { byBindings: isSameModule(policies) })
    .filter((group) => !byName || rankOf(group) > 0)
    .toSorted((a, b) => rankOf(b) - rankOf(a) || b.all.length - a.all.length);
  const sources = [...known.values()]
    .filter((source) => !byName || changed.has(keyOf(source)))
    .toSorted((a, b) => Number(changed.has(keyOf(b))) - Number(changed.has(keyOf(a))));
  const samplesFor = sampler(policies, known);
  return {
    groups: groups.slice(0, MAX_ASKED),
    samples: sources
      .slice(0, MAX_ASKED)
      .flatMap((source) => samplesFor(source).map((sample) => ({ source, sample }))),
    changed,
    left_out: Math.max(0, groups.length - MAX_ASKED) + Math.max(0, sources.length - MAX_ASKED),
    proposerIn: proposersBy(answers, samplesFor),
  };
}

type Sampler = (source: Source) => Principal[];

function sampler(policies: CheckContext['policies'], known: ReadonlyMap<string, Source>): Sampler {
  const rules = SIDES.map((side) => trustRulesOf(policies[side]));
  const groups = new Map<string, string[]>();
  for (const { by, issuer, key } of known.values()) {
    if (by !== 'group' || issuer === null) continue;
    const all = groups.get(issuer) ?? [];
    if (all.length < MAX_GROUPS) all.push(key);
    groups.set(issuer, all);
  }
  const isAgentRule = (rule: string) => rules.some((of) => of[rule]?.kind === 'agent');
  return (source) => samplesOf(source, { groups, isAgentRule });
}

/** Somebody with one binding who may propose in a place: under each policy, the same under both where there is one. */
export function proposersFor(
  policies: CheckContext['policies'],
  answers: Answers,
): (place: ComparedPlace) => Both<Principal> {
  const known = new Map(SIDES.flatMap((side) => [...sourcesOf(policies[side], answers[side])]));
  const samplesFor = sampler(policies, known);
  return (place) => {
    const [were, are] = SIDES.map((side) => proposing(answers[side], place));
    const keys = new Set((are ?? []).map(keyOf));
    const common = were?.find((source) => keys.has(keyOf(source)));
    const sampleOf = (source: Source | undefined) =>
      (source === undefined ? undefined : samplesFor(source)[0]) ?? everybody(known);
    return { active: sampleOf(common ?? were?.[0]), candidate: sampleOf(common ?? are?.[0]) };
  };
}

function proposersBy(answers: Answers, samplesFor: Sampler): Whom['proposerIn'] {
  return (place) => {
    const both = new Set(proposing(answers.candidate, place).map(keyOf));
    const source = proposing(answers.active, place).find((binding) => both.has(keyOf(binding)));
    return source === undefined ? null : (samplesFor(source)[0] ?? null);
  };
}

/** By a policy's own account of its bindings, so that nobody has to be asked. */
function proposing(answer: AccessAnswer | null, { environment, namespace }: ComparedPlace): Source[] {
  return (answer?.bindings ?? [])
    .filter(
      ({ capabilities, environments, namespaces }) =>
        capabilities.includes('propose') &&
        environments.includes(environment) &&
        (namespaces.includes('*') || namespaces.includes(namespace)),
    )
    .map(({ by, issuer, key }) => ({ by, issuer, key }));
}

/** Somebody with all groups of an issuer, where a policy does not say what its bindings grant. */
function everybody(known: ReadonlyMap<string, Source>): Principal {
  const groups = [...known.values()].filter(({ by }) => by === 'group');
  const [first] = groups;
  return samplePerson('everybody', {
    issuer: first?.issuer ?? 'https://sample.invalid',
    groups: groups
      .filter(({ issuer }) => issuer === first?.issuer)
      .map(({ key }) => key)
      .slice(0, MAX_GROUPS),
  });
}
