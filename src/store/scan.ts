/*
 * Pages of long lists. A filter that fits few rows, or none, must not read a whole table on the thread that answers everybody:
 * a page looks at a limited number of candidates, in the order of an index, and is short if few of them fit.
 */

/** One page. */
export interface ScannedPage<Key, Row> {
  rows: Row[];
  /** Where the next page begins: before this key. Null at the end of the list, and only there. */
  next: Key | null;
}

/** Keys in descending order, from an index: at most `count`, only those before a key. */
export type Stream<Key> = (before: Key | null, count: number) => Promise<Key[]>;

/** A list to take a page of. */
export interface Scan<Key, Row> {
  /** Each row of the list has its key in one of them. */
  streams: readonly Stream<Key>[];
  /** The rows of these keys, at least one, that fit the filter, in descending order, at most `limit`. */
  fetch: (keys: readonly Key[], limit: number) => Promise<Row[]>;
  keyOf: (row: Row) => Key;
  before: Key | null;
  /** The maximum number of rows. */
  limit: number;
  /** How many candidates of each stream a page looks at. */
  maxLooks: number;
}

/** How much longer each look is than the one before. The first is enough where everything fits. */
const GROWTH = 4;

/** One page of a list. */
export async function scanPage<Key extends string | number, Row>(
  scan: Scan<Key, Row>,
): Promise<ScannedPage<Key, Row>> {
  const { limit, maxLooks, keyOf } = scan;
  const rows: Row[] = [];
  let { before } = scan;
  let left = maxLooks;
  for (let count = limit + 1; ; count *= GROWTH) {
    const looks = Math.min(count, left);
    const { keys, isEnd } = await nextKeys(scan.streams, before, looks);
    if (keys.length > 0) rows.push(...(await scan.fetch(keys, limit + 1 - rows.length)));
    const last = rows[limit - 1];
    if (rows.length > limit && last !== undefined) return { rows: rows.slice(0, limit), next: keyOf(last) };
    if (isEnd) return { rows, next: null };
    before = keys.at(-1) ?? before;
    left -= looks;
    if (left <= 0) return { rows, next: before };
  }
}

/** The next keys of all streams. What lies below the end of a stream that has more is left to the next look. */
async function nextKeys<Key extends string | number>(
  streams: readonly Stream<Key>[],
  before: Key | null,
  count: number,
): Promise<{ keys: Key[]; isEnd: boolean }> {
  const lists = await Promise.all(streams.map((stream) => stream(before, count)));
  const floors = lists.filter((list) => list.length >= count).flatMap((list) => list.at(-1) ?? []);
  const floor = floors.reduce<Key | null>((most, each) => (most === null || each > most ? each : most), null);
  const keys = [...new Set(lists.flat())].filter((key) => floor === null || key >= floor);
  return { keys: keys.sort((one, other) => (one > other ? -1 : 1)), isEnd: floor === null };
}
