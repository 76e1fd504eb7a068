import { canonicalJson } from '../json.ts';

/** One place in which the data of two bundles differs. */
export interface DataDifference {
  /** A JSON Pointer (RFC 6901), such as `/config/limits/request_ttl_s`. Of an item of a list, its index on its own side. */
  path: string;
  /** What is there in the one; absent if nothing is. */
  before?: unknown;
  /** What is there in the other; absent if nothing is. */
  after?: unknown;
}

/** The places in which data differs, in order. Items of lists are rows: they are compared whole. */
export function dataDifferences(before: unknown, after: unknown, path = ''): DataDifference[] {
  if (isEqual(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) return listDifferences(before, after, path);
  if (!isMembers(before) || !isMembers(after)) return [{ path, before, after }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name): DataDifference[] => {
    const at = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!Object.hasOwn(after, name)) return [{ path: at, before: before[name] }];
    if (!Object.hasOwn(before, name)) return [{ path: at, after: after[name] }];
    return dataDifferences(before[name], after[name], at);
  });
}

/** What both lists begin and end with is the same; of what is between, each row was removed or added. */
function listDifferences(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
): DataDifference[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && isEqual(before[start], after[start])) start += 1;
  let end = 0;
  while (end < shorter - start && isEqual(before[before.length - 1 - end], after[after.length - 1 - end]))
    end += 1;
  const removed = before.slice(start, before.length - end);
  const added = after.slice(start, after.length - end);
  return Array.from({ length: Math.max(removed.length, added.length) }, (_, at) => ({
    path: `${path}/${start + at}`,
    ...(at < removed.length ? { before: removed[at] } : {}),
    ...(at < added.length ? { after: added[at] } : {}),
  }));
}

function isEqual(one: unknown, other: unknown): boolean {
  return one === other || canonicalJson(one ?? null) === canonicalJson(other ?? null);
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
