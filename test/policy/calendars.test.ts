import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { readStoredBundle } from '../../src/policy/bundle.ts';
import { readCalendar } from '../../src/policy/calendar.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { type Calendar, nextOpening } from '../../src/policy/next-opening.ts';
import { createZoneClock } from '../../src/policy/zones.ts';
import {
  HOUR_MS,
  isBlackedOut,
  isWindowOpen,
  localText,
  MINUTE_MS,
  type OracleWindow,
  offsetChanges,
  shiftDate,
  ZONES,
} from './calendar-oracle.ts';

/**
 * Windows, holidays and blackouts across each change of the offset until 2030, in three zones: the Rego in the built
 * module and the broker's next opening against an oracle of their own.
 */

// Tens of thousands of decisions.
vi.setConfig({ testTimeout: 180_000 });

const SHIPPED = readFileSync(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
const BASE = JSON.parse(
  readFileSync(new URL('../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
) as { input: { request: object }; change: { flag: object; facts: object } };

const ALL_DAYS = [1, 2, 3, 4, 5, 6, 7];
const TIERS = ['informational', 'operational', 'sensitive', 'high-risk'];

/** Offsets change in the night to Sunday, at 02:00 or 03:00. Each window has the rule of one tier and movement. */
const WINDOWS: Record<string, Omit<OracleWindow, 'zone'>> = {
  'by day, except on the day of a change': {
    days: ALL_DAYS,
    start: { hour: 9, minute: 0 },
    end: { hour: 16, minute: 0 },
    holidays: ['changes'],
  },
  'by night, except on the eve of a change': {
    days: ALL_DAYS,
    start: { hour: 22, minute: 0 },
    end: { hour: 3, minute: 0 },
    holidays: ['eves'],
  },
  'in the night to Sunday, and Sunday is a holiday': {
    days: [6],
    start: { hour: 23, minute: 30 },
    end: { hour: 2, minute: 20 },
    holidays: ['changes'],
  },
  'inside what summer time skips': {
    days: [7],
    start: { hour: 2, minute: 0 },
    end: { hour: 2, minute: 30 },
  },
  'begins in what is skipped or repeated': {
    days: ALL_DAYS,
    start: { hour: 2, minute: 15 },
    end: { hour: 5, minute: 0 },
  },
  'ends in what is skipped or repeated': {
    days: ALL_DAYS,
    start: { hour: 0, minute: 30 },
    end: { hour: 2, minute: 15 },
  },
  'inside what the change back repeats': {
    days: [7],
    start: { hour: 1, minute: 40 },
    end: { hour: 1, minute: 50 },
  },
  'a day long, from Saturday on': { days: [6], start: { hour: 2, minute: 10 }, end: { hour: 2, minute: 10 } },
};
const NAMES = Object.keys(WINDOWS);

/** The data of a zone: the windows, holidays on and before each change, and a blackout around each. */
function dataOf(zone: string) {
  const changes = offsetChanges(zone, 2026, 2030);
  const dates = changes.map((atMs) => localText(zone, atMs).slice(0, 10));
  const named = (list: string[]) => Object.fromEntries(list.map((date) => [date, 'A holiday']));
  const windows = Object.fromEntries(
    Object.entries(WINDOWS).map(([name, window]) => [name, { ...window, zone }]),
  ) as Record<string, OracleWindow>;
  const blackouts = Object.fromEntries(
    dates.map((date) => [
      date,
      {
        zone,
        start: { date, hour: 1, minute: 45 },
        end: { date, hour: 2, minute: 45 },
        reason: 'The clocks change.',
      },
    ]),
  );
  const holidays = { changes: named(dates), eves: named(dates.map((date) => shiftDate(date, -1))) };
  return { changes, windows, holidays, blackouts };
}

/** Only time holds anything under this data: each tier and movement asks for one window. */
async function createEngineFor(zone: string, data: ReturnType<typeof dataOf>): Promise<Engine> {
  const rule = (window: string | undefined) => ({
    approvals: {},
    ticket: false,
    windows: [window],
    account_approvers: false,
    sign_in: null,
  });
  const tiers = Object.fromEntries(
    TIERS.map((tier, place) => [
      tier,
      { production: { raise: rule(NAMES[2 * place]), lower: rule(NAMES[2 * place + 1]) } },
    ]),
  );
  const { windows, holidays, blackouts } = data;
  const archive = await rebundle(SHIPPED, (shipped) => {
    const { config, ...others } = shipped as { config: object };
    const own = { zones: [zone], tiers, tier_floors: {}, windows, holidays, blackouts };
    return { ...others, config: { ...config, ...own } };
  });
  // As a stored one: the data of a new bundle may have no edge in an hour that is skipped or repeated.
  return createEngine(await readStoredBundle(archive));
}

const CHANGES = TIERS.flatMap((tier) =>
  [
    { direction: 'on', audience_grew: true, safe: false },
    { direction: 'off', audience_grew: false, safe: true },
  ].map((facts) => ({
    ...BASE.change,
    flag: { ...BASE.change.flag, tier },
    facts: { ...BASE.change.facts, ...facts },
  })),
);

/** What the Rego says is closed: the names of windows, and of blackouts. */
function closedByRego(engine: Engine, readZones: ReturnType<typeof createZoneClock>, atMs: number): string[] {
  const result = engine.evaluate(
    JSON.stringify({
      ...BASE.input,
      request: { ...BASE.input.request, created_ms: atMs, changes: CHANGES },
      clock: { now_ms: atMs, tzdb: 'x', zones: readZones(atMs) },
    }),
  );
  if (result.effect === 'deny') throw new Error(JSON.stringify(result.reasons));
  return result.obligations
    .flatMap((obligation) => {
      if (obligation.kind === 'window') return obligation.windows;
      return obligation.kind === 'blackout' ? obligation.blackouts : [obligation.kind];
    })
    .sort();
}

function closedByOracle(
  { windows, holidays, blackouts }: Omit<ReturnType<typeof dataOf>, 'changes'>,
  atMs: number,
): string[] {
  return [
    ...Object.entries(windows).flatMap(([name, window]) =>
      isWindowOpen(window, holidays, atMs) ? [] : [name],
    ),
    ...Object.entries(blackouts).flatMap(([name, blackout]) => (isBlackedOut(blackout, atMs) ? [name] : [])),
  ].sort();
}

describe.each(ZONES)('the windows of %s', (zone) => {
  const data = dataOf(zone);

  it('meet two changes of the offset a year until 2030', () => {
    expect(data.changes).toHaveLength(10);
  });

  it('are open in the Rego when they are by the local time, each minute around each change', async () => {
    const engine = await createEngineFor(zone, data);
    const readZones = createZoneClock([zone]);
    for (const change of data.changes) {
      const answers = new Set<string>();
      let last = '';
      for (let atMs = change - 30 * HOUR_MS; atMs <= change + 30 * HOUR_MS; atMs += MINUTE_MS) {
        const expected = closedByOracle(data, atMs);
        const key = expected.join();
        // Far from the change only where the oracle's answer changes: the last minute before, and the first after.
        const isNear = Math.abs(atMs - change) <= 75 * MINUTE_MS;
        if (key !== last && last !== '' && !isNear) {
          const before = atMs - 1;
          expect(closedByRego(engine, readZones, before), localText(zone, before)).toEqual(
            closedByOracle(data, before),
          );
        }
        if (isNear || key !== last) {
          expect(closedByRego(engine, readZones, atMs), localText(zone, atMs)).toEqual(expected);
        }
        last = key;
        answers.add(key);
      }
      // Windows opened and closed, so the comparison had something to compare.
      expect(answers.size).toBeGreaterThan(8);
    }
  });
});

/** The oracle's next opening, by looking at each minute. */
function nextByOracle(
  isClear: (atMs: number) => boolean,
  { fromMs, toMs }: { fromMs: number; toMs: number },
): number | null {
  if (isClear(fromMs)) return fromMs;
  for (let atMs = Math.floor(fromMs / MINUTE_MS + 1) * MINUTE_MS; atMs <= toMs; atMs += MINUTE_MS) {
    if (isClear(atMs)) return atMs;
  }
  return null;
}

describe.each(ZONES)('the next opening in %s', (zone) => {
  const data = dataOf(zone);
  const calendar = readCalendar({ config: data });

  it('of each window is when it opens by the local time, from each minute around each change', () => {
    for (const change of data.changes) {
      const lastMs = change + 30 * HOUR_MS;
      for (const [name, window] of Object.entries(data.windows)) {
        // From the end, so that each minute knows the next one that is open.
        let expected: number | null = null;
        for (let nowMs = lastMs; nowMs >= change - 90 * MINUTE_MS; nowMs -= MINUTE_MS) {
          if (isWindowOpen(window, data.holidays, nowMs)) expected = nowMs;
          if (nowMs > change + 90 * MINUTE_MS) continue;
          const found = nextOpening({ windows: [[name]], blackouts: [] }, { data: calendar, nowMs });
          const note = `${name} from ${localText(zone, nowMs)}`;
          if (expected === null) expect(found?.at_ms, note).toBeGreaterThan(lastMs);
          else expect(found, note).toEqual({ at_ms: expected, window: name, zone });
        }
      }
    }
  });
});

const time = fc.record({ hour: fc.nat({ max: 23 }), minute: fc.constantFrom(0, 10, 15, 30, 45, 59) });
const changesOf = Object.fromEntries(ZONES.map((zone) => [zone, offsetChanges(zone, 2026, 2030)]));
const EVERYWHERE = ZONES.flatMap((zone) => changesOf[zone] ?? []);

const anyWindow: fc.Arbitrary<OracleWindow> = fc.record({
  zone: fc.constantFrom<string>(...ZONES),
  days: fc.uniqueArray(fc.constantFrom(...ALL_DAYS), { minLength: 1 }),
  start: time,
  end: time,
  holidays: fc.subarray(['ours']),
});

describe('the next opening of a whole calendar', () => {
  it('is the first minute at which a window of each choice is open and no blackout lasts, in any mix of zones', () => {
    const example = fc.record({
      change: fc.constantFrom(...EVERYWHERE),
      before: fc.nat({ max: 48 * 60 }),
      seconds: fc.nat({ max: 59 }),
      choices: fc.array(fc.array(anyWindow, { minLength: 1, maxLength: 3 }), { maxLength: 2 }),
      blackouts: fc.array(
        fc.record({
          zone: fc.constantFrom<string>(...ZONES),
          from: fc.integer({ min: -2, max: 1 }),
          days: fc.nat({ max: 3 }),
          start: time,
          end: time,
        }),
        { maxLength: 2 },
      ),
      holidays: fc.subarray([-2, -1, 0, 1, 2]),
    });
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(example, ({ change, before, seconds, choices, blackouts, holidays }) => {
        fc.pre(choices.length + blackouts.length > 0);
        const day = new Date(change).toISOString().slice(0, 10);
        const ours = Object.fromEntries(holidays.map((days) => [shiftDate(day, days), 'A holiday']));
        const windows = choices.map((choice, place) =>
          choice.map((window, index) => [`${place}.${index}`, window] as const),
        );
        const periods = blackouts.map(({ zone, from, days, start, end }, place) => {
          const date = shiftDate(day, from);
          const period = { zone, start: { date, ...start }, end: { date: shiftDate(date, days), ...end } };
          return [`${place}`, { ...period, reason: 'x' }] as const;
        });
        const config = {
          windows: Object.fromEntries(windows.flat()),
          holidays: { ours },
          blackouts: Object.fromEntries(periods),
        };
        const asked: Calendar = {
          windows: windows.map((choice) => choice.map(([name]) => name)),
          blackouts: periods.map(([name]) => name),
        };
        const isClear = (atMs: number) =>
          periods.every(([, period]) => !isBlackedOut(period, atMs)) &&
          windows.every((choice) => choice.some(([, window]) => isWindowOpen(window, { ours }, atMs)));
        const nowMs = change - before * MINUTE_MS + seconds * 1000;
        const horizonMs = 6 * 24 * HOUR_MS;
        const expected = nextByOracle(isClear, { fromMs: nowMs, toMs: nowMs + horizonMs });
        const found = nextOpening(asked, { data: readCalendar({ config }), nowMs, horizonMs });
        expect(found?.at_ms ?? null).toBe(expected);
        outcomes.add(expected === null ? 'never' : expected === nowMs ? 'now' : 'later');
      }),
      { numRuns: 300 },
    );
    expect([...outcomes].sort()).toEqual(['later', 'never', 'now']);
  });
});

describe('the next opening of one calendar', () => {
  const config = {
    windows: {
      night: {
        zone: 'Europe/Berlin',
        days: [6],
        start: { hour: 22, minute: 0 },
        end: { hour: 3, minute: 0 },
        holidays: ['ours'],
      },
      skipped: {
        zone: 'Europe/Berlin',
        days: [7],
        start: { hour: 2, minute: 0 },
        end: { hour: 3, minute: 0 },
      },
      never: {
        zone: 'Europe/Berlin',
        days: [],
        start: { hour: 9, minute: 0 },
        end: { hour: 16, minute: 0 },
      },
      misspelt: { zone: 'Europe/Berlin', days: ['Mon'], start: { hour: '09', minute: 0 }, end: { hour: 16 } },
      nowhere: {
        zone: 'Europe/Atlantis',
        days: ALL_DAYS,
        start: { hour: 9, minute: 0 },
        end: { hour: 16, minute: 0 },
      },
      'other calendar': {
        zone: 'Europe/Berlin',
        days: ALL_DAYS,
        start: { hour: 9, minute: 0 },
        end: { hour: 16, minute: 0 },
        holidays: ['theirs'],
      },
    },
    holidays: { ours: { '2026-12-26': 'Second Day of Christmas' } },
    blackouts: {
      'year-end': {
        zone: 'Europe/Berlin',
        start: { date: '2026-12-20', hour: 0, minute: 0 },
        end: { date: '2027-01-03', hour: 24, minute: 0 },
        reason: 'Few people are there.',
      },
      years: {
        zone: 'Europe/Berlin',
        start: { date: '2026-12-20', hour: 0, minute: 0 },
        end: { date: '2029-01-03', hour: 0, minute: 0 },
        reason: 'The move.',
      },
      open: { zone: 'Europe/Berlin', start: { date: '2026-12-20', hour: 0, minute: 0 } },
    },
  };
  const from = (calendar: Partial<Calendar>, now: string) => {
    const data = readCalendar({ config });
    const found = nextOpening({ windows: [], blackouts: [], ...calendar }, { data, nowMs: Date.parse(now) });
    return found === null ? null : new Date(found.at_ms).toISOString();
  };

  it.each([
    ['the night to Sunday', { windows: [['night']] }, '2026-12-14T12:00:00Z', '2026-12-19T21:00:00.000Z'],
    [
      'a night that begins on a holiday',
      { windows: [['night']] },
      '2026-12-21T12:00:00Z',
      '2027-01-02T21:00:00.000Z',
    ],
    [
      'a night within a blackout',
      { windows: [['night']], blackouts: ['year-end'] },
      '2026-12-20T12:00:00Z',
      '2027-01-09T21:00:00.000Z',
    ],
    [
      'a night that a blackout cuts short',
      { windows: [['night']], blackouts: ['year-end'] },
      '2026-12-19T12:00:00Z',
      '2026-12-19T21:00:00.000Z',
    ],
    [
      'the end of a blackout',
      { blackouts: ['year-end'] },
      '2026-12-24T12:00:00Z',
      '2027-01-03T23:00:00.000Z',
    ],
    [
      'an hour that summer time skips',
      { windows: [['skipped']] },
      '2027-03-22T12:00:00Z',
      '2027-04-04T00:00:00.000Z',
    ],
    [
      'an hour that is repeated, between the two',
      { windows: [['skipped']] },
      '2026-10-25T00:59:59Z',
      '2026-10-25T00:59:59.000Z',
    ],
  ])('is found: %s', (_what, calendar, now, expected) => {
    expect(from(calendar, now)).toBe(expected);
  });

  it.each([
    ['a window without days', { windows: [['never']] }],
    ['a blackout of more than 400 days', { blackouts: ['years'] }],
    ['a window of another form', { windows: [['misspelt']] }],
    ['another form beside a window that is known', { windows: [['night', 'misspelt']] }],
    ['a window in an unknown zone', { windows: [['nowhere']] }],
    ['a window with an unknown calendar', { windows: [['other calendar']] }],
    ['an unknown window', { windows: [['absent']] }],
    ['a blackout of another form', { blackouts: ['open'] }],
    ['nothing', {}],
  ])('is unknown: %s', (_what, calendar) => {
    expect(from(calendar, '2026-12-21T12:00:00Z')).toBeNull();
  });

  it.each([
    ['no data', undefined],
    ['no object', { config: [] }],
    ['text', { config: { windows: 'always', holidays: 3, blackouts: null } }],
  ])('is unknown with %s', (_what, data) => {
    const calendar = { windows: [['night']], blackouts: [] };
    expect(nextOpening(calendar, { data: readCalendar(data), nowMs: 0 })).toBeNull();
  });
});
