import type { z } from 'zod';
import type { DataFault } from './data-faults.ts';
import { DATA_FOLDERS, type DataFolders } from './data-schema.ts';

/*
 * What is allowed in a bundle's data, and seldom meant. Nothing here refuses a bundle: it is advice to whoever reviews it.
 */

/** A place in the data below `data.config`, and what to do there. */
interface Advice {
  path: readonly string[];
  detail: string;
}

/** At most this many are shown. */
const MAX_ADVICE = 50;

/** The advice about a bundle's data, for the folders that have the documented form. */
export function dataAdvice(data: unknown): DataFault[] {
  const folders = readFolders(data);
  return [
    ...personBindings(folders),
    ...personClaims(folders),
    ...noErasers(folders),
    ...unusedWindows(folders),
  ]
    .slice(0, MAX_ADVICE)
    .map(({ path, detail }) => ({
      pointer: ['config', ...path]
        .map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`)
        .join(''),
      detail,
    }));
}

function readFolders(data: unknown): DataFolders {
  const config = (data as { config?: unknown } | null)?.config;
  if (typeof config !== 'object' || config === null) return {};
  const folders: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries<z.ZodType>(DATA_FOLDERS)) {
    if (!Object.hasOwn(config, name)) continue;
    const parsed = schema.safeParse((config as Record<string, unknown>)[name]);
    if (parsed.success) folders[name] = parsed.data;
  }
  return folders as DataFolders;
}

/** A group ends with the work; a binding of a person has to be thought of when they leave, and no bundle can be erased. */
function personBindings({ role_bindings }: DataFolders): Advice[] {
  return Object.keys(role_bindings?.principals ?? {})
    .filter((id) => id.startsWith('person:'))
    .map((id) => ({
      path: ['role_bindings', 'principals', id],
      detail: NAMES_A_PERSON,
    }));
}

const NAMES_A_PERSON =
  'this binding names a person, and no bundle can be erased: bind a group, which they leave when their work ends';

/** Claims whose values are persons. */
const PERSONAL_CLAIMS = [
  'sub',
  'email',
  'preferred_username',
  'upn',
  'unique_name',
  'oid',
  'name',
  'employee_id',
];

function personClaims({ role_bindings }: DataFolders): Advice[] {
  return Object.entries(role_bindings?.claims ?? {}).flatMap(([issuer, claims]) =>
    Object.keys(claims)
      .filter((claim) => PERSONAL_CLAIMS.includes(claim))
      .map((claim) => ({ path: ['role_bindings', 'claims', issuer, claim], detail: NAMES_A_PERSON })),
  );
}

/** Nobody can be erased where nobody could approve it. */
function noErasers({ role_bindings, request_kinds }: DataFolders): Advice[] {
  const erase = request_kinds?.['person.erase'];
  if (erase === undefined || role_bindings === undefined) return [];
  const { groups = {}, claims = {}, principals = {} } = role_bindings;
  const all = [
    ...Object.values(groups),
    ...Object.values(claims).flatMap((each) => Object.values(each)),
    principals,
  ].flatMap((keys) => Object.values(keys).flat());
  const held = new Set(all.flatMap(({ roles }) => roles));
  return Object.keys(erase.rule.approvals)
    .filter((role) => ![role, ...erase.stand_ins].some((each) => held.has(each)))
    .map((role) => ({
      path: ['request_kinds', 'person.erase', 'rule', 'approvals', role],
      detail: `no binding grants "${role}", so nobody can be erased: bind a group to it`,
    }));
}

function unusedWindows({ windows, tiers, request_kinds }: DataFolders): Advice[] {
  if (tiers === undefined && request_kinds === undefined) return [];
  const rules = [
    ...Object.values(tiers ?? {}).flatMap((kinds) => Object.values(kinds).flatMap(Object.values)),
    ...Object.values(request_kinds ?? {}).map(({ rule }) => rule),
  ];
  const used = new Set(rules.flatMap((rule: { windows: string[] }) => rule.windows));
  return Object.keys(windows ?? {})
    .filter((name) => !used.has(name))
    .map((name) => ({ path: ['windows', name], detail: 'no rule names this window: use it, or remove it' }));
}
