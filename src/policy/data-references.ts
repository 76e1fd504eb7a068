import { TIERS } from '../flags/model.ts';
import { OPERATIONS } from '../operations.ts';
import type { SchemaFault } from '../schema-faults.ts';
import { calendarFaults } from './calendar-references.ts';
import type { Binding, DataFolders, Rule } from './data-schema.ts';
import { stageFaults } from './stage-references.ts';

/*
 * What the folders of a bundle's data say about each other. A name that leads nowhere demands something that nobody can
 * fulfil, or nothing at all.
 */

/** A rule, the place it is at, and where its approvals are given. */
interface PlacedRule {
  path: readonly string[];
  approvals: Rule['approvals'];
  /** The roles whose approval counts as one from the required role. */
  standIns: readonly string[];
  /** The environments that the change may be in; `everywhere` requires a binding to everything. */
  where: readonly string[] | 'everywhere';
}

/** The kind of environment that governs changes of definitions. */
const DEFINITIONS = 'production';

/** All faults between folders, with their places under `data.config`. */
export function referenceFaults(folders: DataFolders): SchemaFault[] {
  return [
    ...stageFaults(folders),
    ...windowFaults(folders),
    ...calendarFaults(folders),
    ...tierFaults(folders),
    ...exceptionFaults(folders),
    ...floorFaults(folders),
    ...bindingFaults(folders),
    ...roleFaults(folders),
    ...operationFaults(folders),
  ];
}

function windowFaults({ windows, zones = [], tiers, request_kinds }: DataFolders): SchemaFault[] {
  const faults: SchemaFault[] = [];
  for (const [name, { zone }] of Object.entries(windows ?? {})) {
    if (zones.includes(zone)) continue;
    faults.push({
      path: ['windows', name, 'zone'],
      detail: `"${zone}" is not in \`zones\`, so the window never opens: add it there, or correct it`,
    });
  }
  for (const { path, rule } of fullRules({ tiers, request_kinds })) {
    rule.windows.forEach((name, index) => {
      if (windows !== undefined && Object.hasOwn(windows, name)) return;
      faults.push({
        path: [...path, 'windows', index],
        detail: `there is no window "${name}", so it never opens: add it to \`windows\`, or correct it`,
      });
    });
  }
  return faults;
}

/** The rules of tiers and of kinds of requests. */
function fullRules({ tiers, request_kinds }: DataFolders): { path: string[]; rule: Rule }[] {
  return [
    ...Object.entries(tiers ?? {}).flatMap(([tier, kinds]) =>
      Object.entries(kinds).flatMap(([kind, movements]) =>
        Object.entries(movements).map(([movement, rule]) => ({
          path: ['tiers', tier, kind, movement],
          rule,
        })),
      ),
    ),
    ...Object.entries(request_kinds ?? {}).map(([kind, { rule }]) => ({
      path: ['request_kinds', kind, 'rule'],
      rule,
    })),
  ];
}

function tierFaults({ tiers, environments }: DataFolders): SchemaFault[] {
  const kinds = kindsOf(environments);
  const faults: SchemaFault[] = [];
  for (const tier of TIERS) {
    for (const kind of kinds) {
      if (tiers !== undefined && !Object.hasOwn(tiers[tier], kind)) {
        const detail = `there are no rules for environments of kind "${kind}": no such change could be made`;
        faults.push({ path: ['tiers', tier, kind], detail });
      }
    }
  }
  return faults;
}

function exceptionFaults({ exceptions, environments }: DataFolders): SchemaFault[] {
  if (exceptions === undefined) return [];
  const listed = TIERS.filter((tier) => exceptions[tier] !== undefined);
  const needed = listed.length === TIERS.length ? listed : [...listed, '*'];
  return needed.flatMap((tier) =>
    kindsOf(environments)
      .filter((kind) => !Object.hasOwn(exceptions[tier] ?? {}, kind))
      .map((kind) => ({
        path: ['exceptions', tier, kind],
        detail: `there are no approvals for single users in environments of kind "${kind}": no such change could be made`,
      })),
  );
}

/** The kinds of environments that rules are needed for; definitions are judged as in production. */
function kindsOf(environments: DataFolders['environments']): string[] {
  return [...new Set([...Object.values(environments ?? {}).map(({ kind }) => kind), DEFINITIONS])];
}

function floorFaults({ tier_floors, environments }: DataFolders): SchemaFault[] {
  const known = ['*', ...kindsOf(environments)];
  return Object.entries(tier_floors ?? {}).flatMap(([namespace, kinds]) =>
    Object.entries(kinds).flatMap(([kind, floors]) =>
      Object.keys(floors)
        .filter((environment) => !known.includes(environment))
        .map((environment) => ({
          path: ['tier_floors', namespace, kind, environment],
          detail: `no environment is of this kind: use one of ${known.join(', ')}`,
        })),
    ),
  );
}

interface PlacedBinding {
  path: readonly string[];
  binding: Binding;
  /** Whether a person can have it: only persons approve. */
  isForPersons: boolean;
}

function listBindings({ role_bindings }: DataFolders): PlacedBinding[] {
  const { groups = {}, claims = {}, trust_rules = {}, principals = {} } = role_bindings ?? {};
  const lists: { path: string[]; list: readonly Binding[]; isForPersons: boolean }[] = [];
  for (const [issuer, byGroup] of Object.entries(groups)) {
    for (const [group, list] of Object.entries(byGroup)) {
      lists.push({ path: ['groups', issuer, group], list, isForPersons: true });
    }
  }
  for (const [issuer, byClaim] of Object.entries(claims)) {
    for (const [claim, byValue] of Object.entries(byClaim)) {
      for (const [value, list] of Object.entries(byValue)) {
        lists.push({ path: ['claims', issuer, claim, value], list, isForPersons: true });
      }
    }
  }
  for (const [rule, list] of Object.entries(trust_rules)) {
    lists.push({ path: ['trust_rules', rule], list, isForPersons: false });
  }
  for (const [id, list] of Object.entries(principals)) {
    lists.push({ path: ['principals', id], list, isForPersons: id.startsWith('person:') });
  }
  return lists.flatMap(({ path, list, isForPersons }) =>
    list.map((binding, index) => ({
      path: ['role_bindings', ...path, String(index)],
      binding,
      isForPersons,
    })),
  );
}

function bindingFaults(folders: DataFolders): SchemaFault[] {
  const { environments, trust_rules = {}, role_bindings } = folders;
  const faults: SchemaFault[] = [];
  for (const { path, binding } of listBindings(folders)) {
    binding.environments.forEach((name, index) => {
      if (environments === undefined || name === '*' || Object.hasOwn(environments, name)) return;
      faults.push({ path: [...path, 'environments', index], detail: `there is no environment "${name}"` });
    });
  }
  for (const rule of Object.keys(role_bindings?.trust_rules ?? {})) {
    if (Object.hasOwn(trust_rules, rule)) continue;
    faults.push({
      path: ['role_bindings', 'trust_rules', rule],
      detail: 'there is no trust rule with this name',
    });
  }
  return faults;
}

/** Misspelled roles, and required roles that no person holds where they are required. */
function roleFaults(folders: DataFolders): SchemaFault[] {
  const { operations, request_kinds, role_bindings, exclusive_roles, environments = {} } = folders;
  const known = new Set([
    ...Object.values(operations ?? {}).flatMap(({ roles }) => Object.values(roles ?? {}).flat()),
    ...Object.values(request_kinds ?? {}).flatMap(({ roles }) => Object.values(roles).flat()),
  ]);
  const bound = listBindings(folders);
  const faults: SchemaFault[] = [];
  const reported = new Set<string>();
  if (known.size > 0) {
    for (const { path, binding } of bound) {
      binding.roles.forEach((role, index) => {
        if (known.has(role)) return;
        faults.push({ path: [...path, 'roles', index], detail: `no operation names the role "${role}"` });
      });
    }
  }
  if (known.size > 0) {
    for (const [at, exclusive] of (exclusive_roles ?? []).entries()) {
      exclusive.forEach((role, index) => {
        if (known.has(role)) return;
        const detail = `no operation names the role "${role}", so it excludes nothing`;
        faults.push({ path: ['exclusive_roles', at, index], detail });
      });
    }
  }
  if (role_bindings === undefined) return faults;
  for (const { path, approvals, standIns, where } of listApprovals(folders)) {
    for (const role of Object.keys(approvals)) {
      const place = where === 'everywhere' ? where : where.join(', ');
      const isHeld = bound.some(
        ({ binding, isForPersons }) =>
          isForPersons &&
          [role, ...standIns].some((each) => binding.roles.includes(each)) &&
          reaches(binding, where, environments),
      );
      // One fault for one role and place, at the first rule that requires it.
      const key = JSON.stringify([role, place, standIns]);
      if (isHeld || reported.has(key)) continue;
      reported.add(key);
      const detail = `no binding grants "${role}" to a person ${place === 'everywhere' ? place : `in ${place || 'any environment'}`}, so nobody could approve: add one to \`role_bindings\`, or leave the role out`;
      faults.push({ path: [...path, 'approvals', role], detail });
    }
  }
  return faults;
}

function listApprovals(folders: DataFolders): PlacedRule[] {
  const { tiers, request_kinds, new_flags, exceptions, environments = {} } = folders;
  const ofKind = (kind: string) =>
    Object.keys(environments).filter((key) => environments[key]?.kind === kind);
  const isUsed = (kind: string) => kind === DEFINITIONS || ofKind(kind).length > 0;
  return [
    ...fullRules({ tiers })
      .filter(({ path: [, , kind = ''] }) => isUsed(kind))
      .map(({ path, rule: { approvals } }) => ({
        path,
        approvals,
        standIns: [],
        where: ofKind(path[2] ?? ''),
      })),
    ...Object.entries(exceptions ?? {}).flatMap(([tier, kinds]) =>
      Object.entries(kinds)
        .filter(([kind]) => isUsed(kind))
        .map(([kind, { approvals }]) => ({
          path: ['exceptions', tier, kind],
          approvals,
          standIns: [],
          where: ofKind(kind),
        })),
    ),
    ...Object.entries(new_flags ?? {}).map(([tier, { approvals }]) => ({
      path: ['new_flags', tier],
      approvals,
      standIns: [],
      where: ofKind(DEFINITIONS),
    })),
    ...Object.entries(request_kinds ?? {})
      // A company without an auditor can use everything else (`data-advice.ts`).
      .filter(([kind]) => kind !== 'person.erase')
      .map(
        ([kind, { rule, stand_ins, place }]): PlacedRule => ({
          path: ['request_kinds', kind, 'rule'],
          approvals: rule.approvals,
          standIns: stand_ins,
          where: place === 'everywhere' ? place : [],
        }),
      ),
  ];
}

/** Whether a binding covers one of the environments, or everything; without environments, any will do. */
function reaches(
  { namespaces, environments }: Binding,
  where: PlacedRule['where'],
  known: NonNullable<DataFolders['environments']>,
): boolean {
  if (where === 'everywhere') return namespaces.includes('*') && environments.includes('*');
  if (environments.includes('*')) return true;
  const wanted = where.length === 0 ? Object.keys(known) : where;
  return wanted.some((environment) => environments.includes(environment));
}

function operationFaults({ operations, request_kinds, token_lifetimes }: DataFolders): SchemaFault[] {
  if (operations === undefined) return [];
  const named = [
    ...Object.keys(token_lifetimes?.operations ?? {}).map((name) => ['token_lifetimes', 'operations', name]),
    ...Object.entries(request_kinds ?? {}).flatMap(([kind, { roles }]) =>
      Object.keys(roles).map((name) => ['request_kinds', kind, 'roles', name]),
    ),
  ];
  return named
    .filter((path) => {
      const name = path.at(-1) ?? '';
      // An older bundle lacks operations that the broker has, and its other data may name them.
      return !Object.hasOwn(operations, name) && !Object.hasOwn(OPERATIONS, name);
    })
    .map((path) => ({ path, detail: 'there is no operation with this name' }));
}
