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
  return [...personBindings(folders), ...unusedWindows(folders)]
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

/** A group ends with the work; a binding of a person has to be thought of when they leave. */
function personBindings({ role_bindings }: DataFolders): Advice[] {
  return Object.keys(role_bindings?.principals ?? {})
    .filter((id) => id.startsWith('person:'))
    .map((id) => ({
      path: ['role_bindings', 'principals', id],
      detail: 'this binding names a person: bind a group, which they leave when their work ends',
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
