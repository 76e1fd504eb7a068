/** One place in which the data of two policies differs. */
export interface DataDifference {
  /** The names on the way to it. */
  path: string;
  /** Undefined if the policy has nothing there. */
  before: unknown;
  after: unknown;
}

/** The places in which the data of two policies differs. Items of lists are rows of data, and are compared whole. */
export function dataDifferences(
  before: unknown,
  after: unknown,
  path: readonly string[] = [],
): DataDifference[] {
  if (textOf(before) === textOf(after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) return rowDifferences(before, after, path);
  if (!isMembers(before) || !isMembers(after)) return [{ path: path.join(' › '), before, after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .sort()
    .flatMap((name) => dataDifferences(before[name], after[name], [...path, name]));
}

/** The rows that only one of the lists has. */
function rowDifferences(
  before: readonly unknown[],
  after: readonly unknown[],
  path: readonly string[],
): DataDifference[] {
  const [one, other] = [before.map(textOf), after.map(textOf)];
  const differences = [
    ...before
      .filter((_, place) => !other.includes(one[place]))
      .map((row) => ({ path: path.join(' › '), before: row, after: undefined })),
    ...after
      .filter((_, place) => !one.includes(other[place]))
      .map((row) => ({ path: path.join(' › '), before: undefined, after: row })),
  ];
  // The same rows in another order, or another number of times.
  return differences.length > 0 ? differences : [{ path: path.join(' › '), before, after }];
}

/** A text that is the same for the same value, whatever the order of its members. */
function textOf(value: unknown): string | undefined {
  return JSON.stringify(value, (_, each: unknown) =>
    isMembers(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each,
  );
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
