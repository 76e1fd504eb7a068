/*
 * What differs between two documents, as rows: each with the whole path to it, so that no row has to be understood from those
 * around it.
 */

/** One member that two documents have, or that one of them has. */
export interface Row {
  path: string;
  /** Undefined if the document does not have it. */
  before: unknown;
  after: unknown;
  isSame: boolean;
  /** Of two lists of names: those that come and those that go. */
  names: { added: string[]; removed: string[]; kept: number } | null;
}

/** Every member of both documents, in the order of the second one. */
export function rowsOf(before: unknown, after: unknown): Row[] {
  return rowsAt([], before, after);
}

function rowsAt(path: readonly string[], before: unknown, after: unknown): Row[] {
  const [one, other] = [membersOf(before), membersOf(after)];
  const isLeaf = (one === null && other === null) || isNames(before) || isNames(after);
  if (
    isLeaf ||
    (path.length > 0 && (one === null) !== (other === null) && !isAbsent(before) && !isAbsent(after))
  ) {
    return [rowAt(path, before, after)];
  }
  const names = [...new Set([...Object.keys(other ?? {}), ...Object.keys(one ?? {})])];
  if (names.length === 0) return path.length === 0 ? [] : [rowAt(path, before, after)];
  return names.flatMap((name) => {
    const isItem = Array.isArray(after ?? before);
    return rowsAt(
      [...path, isItem ? String(Number(name) + 1) : name.replaceAll('_', ' ')],
      one?.[name],
      other?.[name],
    );
  });
}

function rowAt(path: readonly string[], before: unknown, after: unknown): Row {
  const isSame = JSON.stringify(before) === JSON.stringify(after);
  return {
    path: path.join(' › '),
    before,
    after,
    isSame,
    names: isSame ? null : namesThatMove(before, after),
  };
}

function namesThatMove(before: unknown, after: unknown): Row['names'] {
  if (!isNames(before) && !isNames(after)) return null;
  const [one, other] = [isNames(before) ? before : [], isNames(after) ? after : []];
  const added = other.filter((name) => !one.includes(name));
  const removed = one.filter((name) => !other.includes(name));
  // A list that comes or goes without names is told as a value.
  if (added.length === 0 && removed.length === 0) return null;
  return { added, removed, kept: other.length - added.length };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function membersOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

/** A value in a few words; text that is empty, and members that are not there, are not the same. */
export function valueInWords(path: string, value: unknown): string {
  if (value === undefined) return '(absent)';
  if (value === null) return 'null';
  if (value === '') return '(empty)';
  if (Array.isArray(value) && value.length === 0) return '(none)';
  if (typeof value === 'number' && path.endsWith(' ms')) return new Date(value).toISOString();
  return typeof value === 'string' ? value : JSON.stringify(value);
}
