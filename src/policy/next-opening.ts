import { DAY_MS } from '../moment.ts';
import { type Blackout, type CalendarData, minuteOf, type Window } from './calendar.ts';
import type { Obligation } from './decision.ts';
import { readZone } from './zones.ts';

/**
 * When time next lets a change through: the first instant at which a window of each choice is open and no blackout lasts.
 *
 * The broker's own arithmetic, for people to read. It decides nothing: the policy does, at that instant.
 */

/** How far ahead an opening is looked for: a year and a month, so that the same day of the next year is found. */
export const HORIZON_MS = 400 * DAY_MS;

const MINUTE_MS = 60_000;

/** An obligation that only time clears. */
export type TimeObligation = Extract<Obligation, { kind: 'window' | 'blackout' }>;

/** Everything that time has to clear: of each choice of windows one is open, and each blackout is over, or not yet begun. */
export interface Calendar {
  windows: readonly (readonly string[])[];
  blackouts: readonly string[];
  /** A moment before which nothing is let through, in epoch milliseconds. */
  not_before_ms?: number | undefined;
}

/** An instant at which time lets a change through. */
export interface Opening {
  /** Epoch milliseconds. */
  at_ms: number;
  /** The window that is open then; null if only blackouts were in the way. */
  window: string | null;
  /** The zone of that window, or of the first blackout. */
  zone: string;
}

/** Whether only time clears an obligation. */
export function isTimeObligation(obligation: Obligation): obligation is TimeObligation {
  return obligation.kind === 'window' || obligation.kind === 'blackout';
}

/** The whole calendar of an obligation; its own part of it, if it says no more. */
export function calendarOf(obligation: TimeObligation): Calendar {
  if (obligation.calendar !== undefined) return obligation.calendar;
  return obligation.kind === 'window'
    ? {
        windows: obligation.windows.length === 0 ? [] : [obligation.windows],
        blackouts: [],
        not_before_ms: obligation.not_before_ms,
      }
    : { windows: [], blackouts: obligation.blackouts };
}

/**
 * The first instant, now or later, at which the calendar lets a change through.
 *
 * Exact: between two candidates (a start, an end, midnight or a change of the offset, in any zone) nothing changes.
 *
 * @param nowMs epoch milliseconds; returned as it is, if it is open now
 * @returns null if there is none within the horizon, or if the data does not tell: a name is unknown
 */
export function nextOpening(
  calendar: Calendar,
  { data, nowMs: askedMs, horizonMs = HORIZON_MS }: { data: CalendarData; nowMs: number; horizonMs?: number },
): Opening | null {
  const rules = resolve(calendar, data);
  if (rules === null) return null;
  const nowMs = Math.max(askedMs, calendar.not_before_ms ?? 0);
  if (rules.choices.length + rules.blackouts.length === 0) return { at_ms: nowMs, window: null, zone: 'UTC' };
  const clocks = [...marksByZone(rules)].map(([zone, marks]) => ({
    zone,
    marks,
    offsetAt: readOffsets(zone),
  }));
  const thisMinute = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  const endMs = askedMs + horizonMs;
  for (let fromMs = thisMinute; fromMs <= endMs; fromMs += DAY_MS) {
    const stretches = clocks.map(({ zone, marks, offsetAt }) => ({
      zone,
      marks,
      parts: stretchesOf(offsetAt, fromMs, fromMs + DAY_MS),
    }));
    const candidates = new Set([fromMs]);
    for (const { marks, parts } of stretches) {
      for (const part of parts) addCandidates(part, marks, candidates);
    }
    for (const atMs of [...candidates].sort((a, b) => a - b)) {
      if (atMs > endMs) return null;
      const walls = new Map(stretches.map(({ zone, parts }) => [zone, wallAt(parts, atMs)]));
      if (!isClear(rules, { data, walls })) continue;
      return { at_ms: Math.max(atMs, nowMs), ...openedBy(rules, { data, walls }) };
    }
  }
  return null;
}

interface NamedWindow extends Window {
  name: string;
}

interface Rules {
  choices: readonly (readonly NamedWindow[])[];
  blackouts: readonly Blackout[];
}

function resolve({ windows, blackouts, not_before_ms }: Calendar, data: CalendarData): Rules | null {
  const choices = windows.map((choice) => choice.map((name) => namedWindow(data, name)));
  const periods = blackouts.map((name) => data.blackouts.get(name));
  if (choices.length + periods.length === 0 && not_before_ms === undefined) return null;
  if (!periods.every(isKnown)) return null;
  const known = choices.map((choice) => choice.filter(isKnown));
  if (known.some((choice, place) => choice.length !== choices[place]?.length)) return null;
  const calendars = known.flat().flatMap(({ holidays = [] }) => holidays);
  if (!calendars.every((name) => data.holidays.has(name))) return null;
  return { choices: known, blackouts: periods };
}

function namedWindow(data: CalendarData, name: string): NamedWindow | undefined {
  const window = data.windows.get(name);
  return window === undefined ? undefined : { ...window, name };
}

function isKnown<T>(value: T | undefined): value is T {
  return value !== undefined;
}

/** The minutes of the day at which something may change, by zone. */
function marksByZone({ choices, blackouts }: Rules): Map<string, Set<number>> {
  const byZone = new Map<string, Set<number>>();
  for (const { zone, start, end } of [...choices.flat(), ...blackouts]) {
    const marks = byZone.get(zone) ?? new Set([0]);
    byZone.set(zone, marks.add(minuteOf(start)).add(minuteOf(end) % 1440));
  }
  return byZone;
}

/** A time in which a zone's offset stays the same, half-open. */
interface Stretch {
  fromMs: number;
  toMs: number;
  offsetMs: number;
}

type ReadOffset = (atMs: number) => number;

function readOffsets(zone: string): ReadOffset {
  return (atMs) => readZone(zone, atMs).offset_min * MINUTE_MS;
}

/** The stretches of a day. No zone changes its offset twice in a day, or within a minute. */
function stretchesOf(offsetAt: ReadOffset, fromMs: number, toMs: number): Stretch[] {
  const offsetMs = offsetAt(fromMs);
  const later = offsetAt(toMs);
  if (offsetMs === later) return [{ fromMs, toMs, offsetMs }];
  let [before, after] = [fromMs / MINUTE_MS, toMs / MINUTE_MS];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(middle * MINUTE_MS) === offsetMs) before = middle;
    else after = middle;
  }
  const changeMs = after * MINUTE_MS;
  return [
    { fromMs, toMs: changeMs, offsetMs },
    { fromMs: changeMs, toMs, offsetMs: later },
  ];
}

function addCandidates({ fromMs, toMs, offsetMs }: Stretch, marks: Set<number>, into: Set<number>): void {
  into.add(fromMs);
  const midnightMs = Math.floor((fromMs + offsetMs) / DAY_MS) * DAY_MS - offsetMs;
  for (const dayMs of [midnightMs, midnightMs + DAY_MS]) {
    for (const mark of marks) {
      const atMs = dayMs + mark * MINUTE_MS;
      if (atMs >= fromMs && atMs < toMs) into.add(atMs);
    }
  }
}

/** A local time. */
interface Wall {
  date: string;
  isoWeekday: number;
  minuteOfDay: number;
  dayBefore: string;
}

function wallAt(parts: readonly Stretch[], atMs: number): Wall {
  const { offsetMs } = parts.find((part) => atMs < part.toMs) ?? (parts.at(-1) as Stretch);
  const local = new Date(atMs + offsetMs);
  return {
    date: dateOf(local),
    isoWeekday: local.getUTCDay() || 7,
    minuteOfDay: local.getUTCHours() * 60 + local.getUTCMinutes(),
    dayBefore: dateOf(new Date(local.getTime() - DAY_MS)),
  };
}

function dateOf(local: Date): string {
  return local.toISOString().slice(0, 10);
}

interface Moment {
  data: CalendarData;
  walls: ReadonlyMap<string, Wall>;
}

function isClear({ choices, blackouts }: Rules, moment: Moment): boolean {
  return (
    blackouts.every((blackout) => !lasts(blackout, moment)) &&
    choices.every((choice) => choice.some((window) => isOpen(window, moment)))
  );
}

function openedBy({ choices, blackouts }: Rules, moment: Moment): Pick<Opening, 'window' | 'zone'> {
  const opened = choices[0]?.find((window) => isOpen(window, moment));
  return { window: opened?.name ?? null, zone: (opened ?? blackouts[0])?.zone ?? 'UTC' };
}

function isOpen({ zone, days, start, end, holidays = [] }: Window, { data, walls }: Moment): boolean {
  const wall = walls.get(zone) as Wall;
  const opensOn = (isoWeekday: number, date: string) =>
    days.includes(isoWeekday) && !holidays.some((name) => data.holidays.get(name)?.has(date));
  const [from, to] = [minuteOf(start), minuteOf(end)];
  const today = opensOn(wall.isoWeekday, wall.date) && wall.minuteOfDay >= from;
  if (from < to) return today && wall.minuteOfDay < to;
  const isoYesterday = wall.isoWeekday === 1 ? 7 : wall.isoWeekday - 1;
  return today || (opensOn(isoYesterday, wall.dayBefore) && wall.minuteOfDay < to);
}

function lasts({ zone, start, end }: Blackout, { walls }: Moment): boolean {
  const { date, minuteOfDay } = walls.get(zone) as Wall;
  const isAtOrAfter = (edge: { date: string; hour: number; minute: number }) =>
    date === edge.date ? minuteOfDay >= minuteOf(edge) : date > edge.date;
  return isAtOrAfter(start) && !isAtOrAfter(end);
}
