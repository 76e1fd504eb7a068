import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Evaluated } from '../../src/data/answers.ts';
import {
  type Counted,
  createTally,
  DEFINITIONS,
  type EvaluationCount,
  type TallyLimits,
} from '../../src/data/evaluation-tally.ts';

const NOTHING = { flags: [], namespaces: [] };
const SMALL: TallyLimits = { rows: 4, flags: 10 };

const readerOf = (id: string, environment = 'production') => ({ environment, principal: { id } });
const flagOf = (key: string, variant = 'on', namespace = 'payments'): Evaluated => ({
  key,
  namespace,
  variant,
  reason: 'STATIC',
});
const nameOf = (row: EvaluationCount) => [row.environment, row.workload, row.flag, row.variant].join(' ');
const sumOf = (rows: readonly EvaluationCount[]) => rows.reduce((sum, { count }) => sum + count, 0);
const takeAll = (tally: ReturnType<typeof createTally>) => tally.take(Number.MAX_SAFE_INTEGER);

/** Everything that may be noted: few objects, so that they come again. */
const readers = ['a', 'b'].flatMap((id) => [readerOf(id), readerOf(id, 'staging')]);
const flags = ['x', 'y'].flatMap((key) => ['on', 'off'].map((variant) => flagOf(key, variant)));
const lists = [[], flags.slice(0, 2), flags.slice(1)];
const notes = fc.array(
  fc.record({
    reader: fc.constantFrom(...readers),
    what: fc.constantFrom<Counted | readonly Counted[]>(...flags, ...lists, DEFINITIONS),
    ms: fc.integer({ min: 0, max: 50 }),
    takes: fc.boolean(),
  }),
  { maxLength: 60 },
);

describe('a tally', () => {
  it.each([
    ['with room', { rows: 1000, flags: 1000 }],
    ['that counts by name at once', { rows: 1000, flags: 1 }],
    ['that is too small', SMALL],
  ])('%s says how often each was evaluated, and when first and last', (_, limits) => {
    fc.assert(
      fc.property(notes, (given) => {
        const tally = createTally(NOTHING, limits);
        const rows: EvaluationCount[] = [];
        const expected = new Map<string, { count: number; first: number; last: number }>();
        let total = 0;
        for (const { reader, what, ms, takes } of given) {
          tally.note(reader, what, ms);
          for (const { key, variant } of [what].flat()) {
            const name = [reader.environment, reader.principal.id, key, variant].join(' ');
            const known = expected.get(name) ?? { count: 0, first: ms, last: ms };
            const [first, last] = [Math.min(known.first, ms), Math.max(known.last, ms)];
            expected.set(name, { count: known.count + 1, first, last });
            total += 1;
          }
          if (takes) rows.push(...tally.take(3));
        }
        expect(tally.waiting()).toBe(total - sumOf(rows));
        rows.push(...takeAll(tally));
        expect([tally.waiting(), sumOf(rows)]).toEqual([0, total]);
        const named = rows.filter(({ workload }) => workload !== null);
        expect(sumOf(named)).toBe(total - tally.shortened());
        for (const [name, { count, first, last }] of expected) {
          const own = named.filter((row) => nameOf(row) === name);
          if (tally.shortened() > 0) {
            expect(sumOf(own)).toBeLessThanOrEqual(count);
            continue;
          }
          expect(sumOf(own)).toBe(count);
          expect(Math.min(...own.map(({ first_ms }) => first_ms))).toBe(first);
          expect(Math.max(...own.map(({ last_ms }) => last_ms))).toBe(last);
        }
      }),
    );
  });

  it('has no more rows than its limit, and one for all others of an environment, whoever asks for what', () => {
    const tally = createTally(NOTHING, SMALL);
    for (let each = 0; each < 500; each += 1) {
      const environment = each % 2 === 0 ? 'production' : 'staging';
      tally.note(readerOf(`w${each}`, environment), flagOf(`f${each}`), each);
      tally.note(readerOf('bulk'), [flagOf(`l${each}`), flagOf(`m${each}`)], each);
    }
    const rows = takeAll(tally);
    expect(rows.length).toBeLessThanOrEqual(SMALL.rows + 2);
    expect(rows.filter(({ workload }) => workload === null)).toHaveLength(2);
    expect(sumOf(rows)).toBe(1500);
    expect(tally.shortened()).toBe(1500 - sumOf(rows.filter(({ workload }) => workload !== null)));
  });

  it('keeps no empty list, of which each context has its own', async () => {
    const tally = createTally(NOTHING);
    const noteList = (list: readonly Evaluated[]) => {
      tally.note(readerOf('a'), list, 1);
      return new WeakRef(list);
    };
    const [kept, empty] = [noteList([flagOf('x')]), noteList([])];
    // A reference that was made in this turn holds its object until the next one.
    await new Promise(setImmediate);
    setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
    expect(kept.deref()).toBeDefined();
    expect(empty.deref()).toBeUndefined();
    expect(takeAll(tally)).toMatchObject([{ flag: 'x', count: 1 }]);
  });

  it('notes each evaluation of what is recorded in full, and counts the others', () => {
    const tally = createTally({ flags: ['x'], namespaces: ['ledger'] });
    const list = [flagOf('x'), flagOf('y'), flagOf('z', 'on', 'ledger')];
    tally.note(readerOf('a'), list, 10);
    tally.note(readerOf('a'), list, 20);
    const rows = takeAll(tally).map(({ flag, count, first_ms, last_ms }) => [flag, count, first_ms, last_ms]);
    expect(rows).toEqual([
      ['x', 1, 10, 10],
      ['z', 1, 10, 10],
      ['x', 1, 20, 20],
      ['z', 1, 20, 20],
      ['y', 2, 10, 20],
    ]);
  });

  it('counts what it cannot note in full any more', () => {
    const tally = createTally({ flags: [], namespaces: ['*'] }, SMALL);
    for (let ms = 0; ms < 10; ms += 1) tally.note(readerOf('a'), flagOf('x'), ms);
    const rows = takeAll(tally).map(({ count, first_ms, last_ms }) => [count, first_ms, last_ms]);
    expect(rows).toEqual([...[0, 1, 2, 3].map((ms) => [1, ms, ms]), [6, 4, 9]]);
    expect(tally.shortened()).toBe(6);
  });
});
