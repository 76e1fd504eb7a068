import { ruleMatches } from '../data/conditions.ts';
import { evaluate, isInAudience } from '../data/evaluate.ts';
import type { Snapshot, SnapshotFlag } from '../data/snapshot.ts';
import { bucketOf } from '../flags/bucket.ts';
import type { FlagState } from '../flags/model.ts';
import type { OrganizationFlag } from './view.ts';

/** The attribute of a context that names the organization. */
const ORGANIZATION = 'organization';

/** The keys of a snapshot in order, and the organizations that its flags name: found when somebody first asks. */
interface Indexed {
  keys: readonly string[];
  byOrganization: ReadonlyMap<string, ReadonlySet<string>>;
}

const indexed = new WeakMap<Snapshot, Indexed>();
const namesOfFlag = new WeakMap<FlagState, readonly string[]>();

function indexOf(snapshot: Snapshot): Indexed {
  const known = indexed.get(snapshot);
  if (known !== undefined) return known;
  const byOrganization = new Map<string, Set<string>>();
  for (const { definition, state } of snapshot.flags.values()) {
    for (const name of namedIn(state)) {
      const namespaces = byOrganization.get(name) ?? new Set();
      byOrganization.set(name, namespaces.add(definition.namespace));
    }
  }
  const index = { keys: [...snapshot.flags.keys()].sort(), byOrganization };
  indexed.set(snapshot, index);
  return index;
}

/** The organizations that a state names, in its audience or in a rule. */
export function namedIn(state: FlagState): readonly string[] {
  const known = namesOfFlag.get(state);
  if (known !== undefined) return known;
  const { audience, rules } = state;
  const conditions = rules.flatMap(({ when }) => when.filter(({ attribute }) => attribute === ORGANIZATION));
  const values = conditions.flatMap((condition) =>
    condition.values.filter((value) => typeof value === 'string'),
  );
  const names = [...new Set([...(audience.kind === 'some' ? audience.organizations : []), ...values])];
  namesOfFlag.set(state, names);
  return names;
}

/** The organizations that flags in readable namespaces name, by name, only those after one. */
export function listNamed(
  snapshot: Snapshot,
  {
    isReadable,
    text,
    after,
    limit,
  }: { isReadable: (namespace: string) => boolean; text: string; after: string; limit: number },
): string[] {
  const wanted = text.toLowerCase();
  return [...indexOf(snapshot).byOrganization]
    .filter(([name, namespaces]) => {
      if (name <= after || !name.toLowerCase().includes(wanted)) return false;
      return [...namespaces].some(isReadable);
    })
    .map(([name]) => name)
    .sort()
    .slice(0, limit);
}

/** The flags as an organization sees them, by key: those whose key contains a text, only those after one. */
export function listSeen(
  snapshot: Snapshot,
  organization: string,
  {
    isReadable,
    text,
    after,
    limit,
    now_ms,
  }: {
    isReadable: (namespace: string) => boolean;
    text: string;
    after: string;
    limit: number;
    now_ms: number;
  },
): OrganizationFlag[] {
  const wanted = text.toLowerCase();
  const items: OrganizationFlag[] = [];
  for (const key of indexOf(snapshot).keys) {
    if (key <= after || !key.toLowerCase().includes(wanted)) continue;
    const flag = snapshot.flags.get(key);
    if (flag === undefined || !isReadable(flag.definition.namespace)) continue;
    items.push(seenBy(flag, organization, now_ms));
    if (items.length === limit) break;
  }
  return items;
}

function seenBy(
  { definition, state, version }: SnapshotFlag,
  organization: string,
  nowMs: number,
): OrganizationFlag {
  const context = { organization };
  const { variant, value } = evaluate({ definition, state, context, now_ms: nowMs });
  const isIn = isInAudience(state.audience, context, nowMs);
  const rule = state.enabled && isIn ? state.rules.find((each) => ruleMatches(each, context)) : undefined;
  const isRollout = rule === undefined ? state.rollout !== null : 'rollout' in rule.serve;
  const why = whyOf(state, { isIn, hasRule: rule !== undefined });
  const bucket = bucketOf(definition.key, organization);
  const users = state.audience.kind === 'some' ? state.audience.users : [];
  return {
    key: definition.key,
    namespace: definition.namespace,
    kind: definition.kind,
    tier: definition.tier,
    version,
    variant,
    value,
    why,
    rule: rule?.name ?? null,
    bucket: (why === 'rollout' || why === 'rule') && isRollout && bucket !== null ? bucket / 1000 : null,
    named: namedIn(state).includes(organization),
    conditional: state.enabled && (users.length > 0 || asksForMore(state)),
    exceptions: users.map(({ id, exception: { reason, approved_by = null, until_ms } }) => ({
      ...{ user: id, reason, approved_by, until_ms },
    })),
  };
}

function whyOf(
  { enabled, rollout }: FlagState,
  { isIn, hasRule }: { isIn: boolean; hasRule: boolean },
): OrganizationFlag['why'] {
  if (!enabled) return 'disabled';
  if (!isIn) return 'not_in_audience';
  if (hasRule) return 'rule';
  return rollout === null ? 'default' : 'rollout';
}

/** Whether a rule asks for another attribute, which one user of the organization has and another one has not. */
function asksForMore({ rules }: FlagState): boolean {
  return rules.some(({ when }) => when.some(({ attribute }) => attribute !== ORGANIZATION));
}
