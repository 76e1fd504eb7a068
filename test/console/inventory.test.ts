import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/console/api/fault.ts';
import {
  beginningOf,
  filterOf,
  type InventoryPlace,
  type InventoryRow,
  nextRows,
} from '../../src/console/pages/flags/inventory.ts';
import { flagsSearch } from '../../src/console/pages/flags/search.ts';

const ENVIRONMENTS = ['development', 'staging', 'production'];
const state = (environment: string) => ({ enabled: environment === 'staging' });

/** A broker that lists other flags in each environment, in pages of any length, also of none. */
function broker(flags: Record<string, string[]>, lengths: readonly number[]) {
  let turn = 0;
  return async (environment: string, cursor: string | null) => {
    const from = Number(cursor ?? 0);
    const to = from + (lengths[turn++ % lengths.length] ?? 1);
    const keys = flags[environment] ?? [];
    const items = keys.slice(from, to).map((key) => ({ key, state: state(environment) }));
    return { items, next_cursor: to < keys.length ? String(to) : null } as never;
  };
}

async function readAll(read: Parameters<typeof nextRows>[1]): Promise<InventoryRow[][]> {
  const pages: InventoryRow[][] = [];
  let place: InventoryPlace | undefined = beginningOf(ENVIRONMENTS);
  while (place !== undefined) {
    const { rows, next }: Awaited<ReturnType<typeof nextRows>> = await nextRows(place, read);
    pages.push(rows);
    place = next;
  }
  return pages;
}

describe('the inventory', () => {
  it('shows each flag once, in order, with its state wherever it may be read, however pages end', async () => {
    const keys = fc.uniqueArray(fc.constantFrom(...'abcdefghijklmnopqrst'), { maxLength: 20 });
    const lengths = fc.tuple(fc.integer({ min: 1, max: 7 }), fc.array(fc.nat(7), { maxLength: 6 }));
    await fc.assert(
      fc.asyncProperty(fc.tuple(keys, keys, keys), lengths, async (lists, [first, others]) => {
        const flags = Object.fromEntries(
          ENVIRONMENTS.map((each, place) => [each, [...(lists[place] ?? [])].sort()]),
        );
        const rows = (await readAll(broker(flags, [first, ...others]))).flat();
        const all = [...new Set(lists.flat())].sort();
        expect(rows.map(({ flag, states }) => [flag.key, Object.keys(states).sort()])).toEqual(
          all.map((key) => [key, ENVIRONMENTS.filter((each) => flags[each]?.includes(key)).sort()]),
        );
        for (const { states } of rows) {
          for (const [environment, each] of Object.entries(states)) expect(each).toEqual(state(environment));
        }
      }),
    );
  });

  it('shows what may be read where another environment refuses, and the refusal if all do', async () => {
    const refusal = new Fault({ status: 403, detail: 'no' });
    const read = broker({ staging: ['a'] }, [9]);
    const some = await readAll(async (environment, cursor) => {
      if (environment !== 'staging') throw refusal;
      return read(environment, cursor);
    });
    expect(some.flat().map(({ states }) => Object.keys(states))).toEqual([['staging']]);
    await expect(readAll(() => Promise.reject(refusal))).rejects.toBe(refusal);
    const broken = new Fault({ status: 503, detail: 'down' });
    const fails = readAll((environment, cursor) =>
      environment === 'staging' ? Promise.reject(broken) : read(environment, cursor),
    );
    await expect(fails).rejects.toBe(broken);
  });

  it('asks the broker only for what an address can mean', () => {
    const asked = (search: Record<string, unknown>) => filterOf(flagsSearch(search));
    expect(asked({ tier: 'none', kind: ['x'], enabled: 'true', retired: 1, expiring: -1, q: '' })).toEqual(
      {},
    );
    // Of several environments, it would hide the states of the others.
    expect(asked({ enabled: true })).toEqual({});
    expect(asked({ enabled: false, environment: 'production', q: 7, tier: 'high-risk' })).toEqual({
      enabled: false,
      q: '7',
      tier: 'high-risk',
    });
  });
});
