import type { Blackout, Window } from '../../../policy/calendar.ts';

/*
 * When windows open next, for people to read. It decides nothing: the policy does, at that instant.
 */

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** How far ahead is looked. */
const DAYS = 21;

/** A time in which a window is open, half-open, in epoch milliseconds. */
export interface OpenTime {
  fromMs: number;
  toMs: number;
}

/** A local date as days since 1970, and times of it in minutes, which need not be of this day. */
type Wall = { day: number; minute: number };

/** The next times in which a window is open, the present one first. @param holidays the dates on which it does not start */
export function nextOpenings(
  { zone, days, start, end }: Window,
  { nowMs, holidays, count }: { nowMs: number; holidays: ReadonlySet<string>; count: number },
): OpenTime[] {
  const from = start.hour * 60 + start.minute;
  const to = end.hour * 60 + end.minute;
  const today = Math.floor((nowMs + offsetAt(zone, nowMs)) / DAY_MS);
  const found: OpenTime[] = [];
  for (let day = today - 1; day <= today + DAYS && found.length < count; day += 1) {
    const date = new Date(day * DAY_MS);
    if (!days.includes(date.getUTCDay() || 7) || holidays.has(date.toISOString().slice(0, 10))) continue;
    const fromMs = instantOf(zone, { day, minute: from });
    const toMs = instantOf(zone, { day: to > from ? day : day + 1, minute: to });
    if (toMs > nowMs) found.push({ fromMs, toMs });
  }
  return found;
}

/** When a blackout lasts. */
export function timeOf({ zone, start, end }: Blackout): OpenTime {
  const edge = ({ date, hour, minute }: Blackout['start']) =>
    instantOf(zone, { day: Date.parse(date) / DAY_MS, minute: hour * 60 + minute });
  return { fromMs: edge(start), toMs: edge(end) };
}

/** The instant at which the clocks of a zone show something. */
function instantOf(zone: string, { day, minute }: Wall): number {
  const wallMs = day * DAY_MS + minute * MINUTE_MS;
  // The offset at the instant itself, which is at most a day from the guess.
  return wallMs - offsetAt(zone, wallMs - offsetAt(zone, wallMs));
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** How far the clocks of a zone are ahead of UTC, in milliseconds. */
function offsetAt(zone: string, atMs: number): number {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  formats.set(zone, format);
  const part = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000;
}
