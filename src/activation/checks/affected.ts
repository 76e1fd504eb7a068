import { canonicalJson } from '../../json.ts';
import type { Policy } from '../../policy/policies.ts';
import { type Both, isSameModule, SIDES } from './check.ts';
import { bindingRows, type Source } from './sources.ts';

/** A binding whose rows differ; null on the side that does not have it. */
export interface BindingChange {
  source: Source;
  before: readonly unknown[] | null;
  after: readonly unknown[] | null;
}

/** The role bindings in the data that differ, in order. */
export function bindingChanges({ active, candidate }: Both<Policy>): BindingChange[] {
  const [were, are] = [bindingRows(active), bindingRows(candidate)];
  return [...new Set([...were.keys(), ...are.keys()])].sort().flatMap((key) => {
    const [was, is] = [were.get(key), are.get(key)];
    const source = (is ?? was)?.source;
    if (source === undefined || canonicalJson(was?.rows ?? null) === canonicalJson(is?.rows ?? null))
      return [];
    return [{ source, before: was?.rows ?? null, after: is?.rows ?? null }];
  });
}

/** The trust rules that differ. */
export function changedRules({ active, candidate }: Both<Policy>): string[] {
  const [were, are] = [active.broker.trust_rules, candidate.broker.trust_rules];
  return [...new Set([...Object.keys(were), ...Object.keys(are)])]
    .sort()
    .filter((rule) => canonicalJson(were[rule] ?? null) !== canonicalJson(are[rule] ?? null));
}

/** Folders of data whose rows name nobody, and on which no role depends: they say when and how often, for everybody. */
const WITHOUT_ACCESS: ReadonlySet<string> = new Set([
  'limits',
  'windows',
  'holidays',
  'blackouts',
  'tickets',
  'exposure_order',
  'protected_organizations',
]);
/** Folders of data whose rows concern those whom they name. */
const BY_NAME: ReadonlySet<string> = new Set(['role_bindings', 'trust_rules']);

/**
 * Whether only those can be affected whom a changed binding or trust rule names: with the same module, and no other changes
 * of the data than such rows.
 */
export function isByName(policies: Both<Policy>): boolean {
  if (!isSameModule(policies)) return false;
  const [were, are] = SIDES.map((side) => foldersOf(policies[side]));
  const names = new Set([...Object.keys(were ?? {}), ...Object.keys(are ?? {})]);
  return [...names].every(
    (name) =>
      BY_NAME.has(name) ||
      WITHOUT_ACCESS.has(name) ||
      canonicalJson(were?.[name] ?? null) === canonicalJson(are?.[name] ?? null),
  );
}

/** Everything in the data by its folder; what is not under `config` too. */
function foldersOf({ data }: Policy): Record<string, unknown> {
  const { config, ...others } = data as { config: Record<string, unknown> };
  return { ...config, ' others': others };
}
