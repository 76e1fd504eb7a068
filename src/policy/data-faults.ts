import type { z } from 'zod';
import { describeFaults, type SchemaFault } from '../schema-faults.ts';
import { aliasFaults } from './aliases.ts';
import { zoneFault } from './data.ts';
import { referenceFaults } from './data-references.ts';
import { DATA_FOLDERS, type DataFolders } from './data-schema.ts';

/** A fault in a bundle's data. */
export interface DataFault {
  /** Its place in the data, as a JSON Pointer (RFC 6901). */
  pointer: string;
  detail: string;
}

/** The most faults that are described; each costs time. */
const MAX_FAULTS = 50;

/**
 * All faults of a bundle's data at once: shapes, and names that lead nowhere. Trust rules have their own check
 * (`trust/policy-rules.ts`).
 *
 * @param data the data of a bundle, as parsed JSON
 * @returns at most 50 faults; empty if there are none
 */
export function dataFaults(data: unknown): DataFault[] {
  const config = memberOf(data, 'config');
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    return [{ pointer: '/config', detail: 'expected a mapping: the broker reads `data.config`' }];
  }
  const { folders, faults } = readFolders(config);
  return [...faults, ...broker(folders), ...referenceFaults(folders)]
    .slice(0, MAX_FAULTS)
    .map(({ path, detail }) => ({ pointer: toPointer(['config', ...path]), detail }));
}

/** @throws Error that lists each fault of {@link dataFaults} */
export function assertData(data: unknown): void {
  const faults = dataFaults(data);
  if (faults.length === 0) return;
  const lines = faults.map(({ pointer, detail }) => `  ${pointer}: ${detail}`);
  throw new Error(`the data has faults:\n${lines.join('\n')}`);
}

/** The folders that have their shape, and the faults of the others. */
function readFolders(config: object): { folders: DataFolders; faults: SchemaFault[] } {
  const folders: Record<string, unknown> = {};
  const faults: SchemaFault[] = [];
  for (const [name, schema] of Object.entries<z.ZodType>(DATA_FOLDERS)) {
    const value = memberOf(config, name);
    if (value === undefined && name !== 'environments') continue;
    // The values belong to the Rego of a custom bundle, whatever they are.
    if (name === 'operations' && (typeof value !== 'object' || value === null || Array.isArray(value)))
      continue;
    const parsed = schema.safeParse(value);
    if (parsed.success) {
      folders[name] = parsed.data;
      continue;
    }
    const issues = parsed.error.issues.slice(0, MAX_FAULTS - faults.length);
    for (const { path, detail } of describeFaults(schema, value, { ...parsed.error, issues })) {
      faults.push({ path: [name, ...path], detail });
    }
    if (faults.length >= MAX_FAULTS) break;
  }
  return { folders: folders as DataFolders, faults };
}

/** What the broker itself could not use. */
function broker({ zones = [], persons = {} }: DataFolders): SchemaFault[] {
  return [
    ...zones.flatMap((zone, index) => {
      const detail = zoneFault(zone);
      return detail === null ? [] : [{ path: ['zones', index], detail }];
    }),
    ...aliasFaults(persons).map((detail) => ({ path: ['persons'], detail })),
  ];
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function toPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
