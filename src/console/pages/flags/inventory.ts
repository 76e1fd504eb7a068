import type { FlagState } from '../../../flags/model.ts';
import type { AnswerOf } from '../../../routes.ts';
import { type Answer, api, type Given } from '../../api/api.ts';
import { Fault } from '../../api/fault.ts';
import type { FlagsSearch } from './search.ts';

/*
 * The broker lists flags by environment, and the page shows them across all. Which flags a person may read differs by
 * environment, so pages of the same length end at different keys. A flag is shown once every environment was read up to its key:
 * before, it is not known where it stands.
 */

/** A flag with its states, by environment. One that is missing may not be read there. */
export interface InventoryRow {
  flag: AnswerOf<'listFlags'>;
  states: Readonly<Record<string, FlagState | null>>;
}

/** Up to where the environments that have more flags were read, and the flags beyond that were read already. */
export interface InventoryPlace {
  open: Readonly<Record<string, { cursor: string | null; last: string }>>;
  held: readonly InventoryRow[];
}

/** How many flags one page of the broker has. */
export const PAGE = 100;

const DAY_MS = 86_400_000;

/** Where the first page begins. */
export function beginningOf(environments: readonly string[]): InventoryPlace {
  return {
    open: Object.fromEntries(environments.map((each) => [each, { cursor: null, last: '' }])),
    held: [],
  };
}

type Read = (environment: string, cursor: string | null) => Promise<Answer<'listFlags'>>;

/** The next flags by key, with their state in every environment. It reads only where the others are ahead. */
export async function nextRows(
  { open, held }: InventoryPlace,
  read: Read,
): Promise<{ rows: InventoryRow[]; next: InventoryPlace | undefined }> {
  const behind = lowest(Object.values(open).map(({ last }) => last));
  const rows = new Map(held.map((row) => [row.flag.key, row]));
  const pages = await Promise.all(
    Object.entries(open).map(async ([environment, place]) => ({
      environment,
      place,
      page: place.last === behind ? await readOrRefusal(read, environment, place.cursor) : null,
    })),
  );
  const [refusal] = pages.flatMap(({ page }) => (page instanceof Fault ? [page] : []));
  if (refusal !== undefined && pages.every(({ page }) => page instanceof Fault)) throw refusal;
  const left: [string, { cursor: string | null; last: string }][] = [];
  for (const { environment, place, page } of pages) {
    if (page instanceof Fault) continue;
    for (const flag of page?.items ?? []) {
      const row = rows.get(flag.key) ?? { flag, states: {} };
      rows.set(flag.key, { ...row, states: { ...row.states, [environment]: flag.state } });
    }
    if (page === null) left.push([environment, place]);
    else if (page.next_cursor !== null) {
      left.push([environment, { cursor: page.next_cursor, last: page.items.at(-1)?.key ?? place.last }]);
    }
  }
  const known = lowest(left.map(([, { last }]) => last));
  const sorted = [...rows.values()].sort((one, other) => (one.flag.key < other.flag.key ? -1 : 1));
  const isKnown = ({ flag }: InventoryRow) => known === undefined || flag.key <= known;
  return {
    rows: sorted.filter(isKnown),
    next:
      known === undefined
        ? undefined
        : { open: Object.fromEntries(left), held: sorted.filter((row) => !isKnown(row)) },
  };
}

/** What a namespace has in one environment, a person may be refused in another: there is nothing to show there, then. */
async function readOrRefusal(read: Read, environment: string, cursor: string | null) {
  try {
    return await read(environment, cursor);
  } catch (error) {
    if (error instanceof Fault && (error.status === 403 || error.status === 404)) return error;
    throw error;
  }
}

function lowest(keys: readonly string[]): string | undefined {
  return keys.reduce<string | undefined>(
    (least, key) => (least === undefined || key < least ? key : least),
    undefined,
  );
}

/** What the broker is asked for, of the filters of an address. */
export type InventoryFilter = Omit<Given<'listFlags'>['query'], 'environment' | 'limit' | 'cursor'>;

/** Reads the filters. They are the same for the whole day: a cursor belongs to the filters that it came with. */
export function filterOf({ environment, expiring, enabled, ...same }: FlagsSearch): InventoryFilter {
  const { namespace, q, tier, kind, owner, retired } = same;
  return {
    ...(namespace === undefined ? {} : { namespace }),
    ...(q === undefined ? {} : { q }),
    ...(tier === undefined ? {} : { tier }),
    ...(kind === undefined ? {} : { kind }),
    ...(owner === undefined ? {} : { owner }),
    ...(retired === undefined ? {} : { retired }),
    // Of several environments, the states of the others would be missing.
    ...(enabled === undefined || environment === undefined ? {} : { enabled }),
    ...(expiring === undefined ? {} : { expires_before: endOfDayIn(expiring) }),
  };
}

/** Reads the flags of one environment. */
export function readerOf(filter: InventoryFilter, signal: AbortSignal): Read {
  return (environment, cursor) =>
    api('listFlags', {
      query: { ...filter, environment, limit: PAGE, ...(cursor === null ? {} : { cursor }) },
      signal,
    });
}

function endOfDayIn(days: number): string {
  const today = Math.floor((performance.timeOrigin + performance.now()) / DAY_MS);
  return new Date((today + days + 1) * DAY_MS).toISOString();
}
