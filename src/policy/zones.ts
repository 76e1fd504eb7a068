import { DAY_MS } from '../moment.ts';
import type { PolicyInput } from './input.ts';

type ZoneClock = PolicyInput['clock']['zones'][string];

const WEEKDAYS: Readonly<Record<string, number>> = { Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6, Sun: 7 };

/** The version of this process's time-zone database, which is part of every input. */
export const TZDB_VERSION = process.versions.tz ?? 'unknown';

/** Formatters are slow to create, so each zone has one. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/**
 * Wall-clock times for the zones that a policy names, so that Rego can evaluate windows without a clock of its own.
 *
 * Wall-clock times are cached for their minute (offsets change on whole minutes).
 *
 * @param zones IANA names as in the policy's data; they are the keys of the result
 * @throws RangeError for an unknown zone
 */
export function createZoneClock(zones: readonly string[]): (nowMs: number) => Record<string, ZoneClock> {
  for (const zone of zones) formatterOf(zone);
  let minute = -1;
  let readings: Record<string, ZoneClock> = {};
  return (nowMs) => {
    const thisMinute = Math.floor(nowMs / 60_000);
    if (thisMinute !== minute) {
      readings = Object.fromEntries(zones.map((zone) => [zone, readZone(zone, nowMs)]));
      minute = thisMinute;
    }
    return readings;
  };
}

/** Whether this is the IANA name of a zone that this machine's time-zone database knows. */
export function isZone(zone: string): boolean {
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/**
 * The wall-clock time of a zone.
 *
 * @param zone its IANA name
 * @param atMs epoch milliseconds
 * @throws RangeError for an unknown zone
 */
export function readZone(zone: string, atMs: number): ZoneClock {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatterOf(zone).formatToParts(atMs)) parts[type] = value;
  return {
    date: `${parts.year}-${parts.month}-${parts.day}`,
    iso_weekday: WEEKDAYS[parts.weekday ?? ''] ?? 0,
    minute_of_day: Number(parts.hour) * 60 + Number(parts.minute),
    offset_min: parseOffset(parts.timeZoneName ?? ''),
  };
}

/**
 * The instants at which a local time comes, in epoch milliseconds: none if a change of the offset skips it, two if one
 * repeats it.
 *
 * @param date ISO 8601, such as `2026-11-30`
 * @param minuteOfDay up to 1440, which is midnight after that date
 */
export function instantsOf(zone: string, date: string, minuteOfDay: number): number[] {
  const asUtc = Date.parse(`${date}T00:00:00Z`) + minuteOfDay * 60_000;
  const offsets = [asUtc - DAY_MS, asUtc + DAY_MS].map((atMs) => readZone(zone, atMs).offset_min);
  return [...new Set(offsets)]
    .filter((offset) => readZone(zone, asUtc - offset * 60_000).offset_min === offset)
    .map((offset) => asUtc - offset * 60_000);
}

function formatterOf(zone: string): Intl.DateTimeFormat {
  const formatter = formatters.get(zone) ?? createFormatter(zone);
  formatters.set(zone, formatter);
  return formatter;
}

function createFormatter(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US-u-ca-iso8601-nu-latn', {
    timeZone,
    // `hour12: false` would write midnight as 24.
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    weekday: 'short',
    timeZoneName: 'longOffset',
  });
}

/** `GMT+05:30` to 330; plain `GMT` is 0. */
function parseOffset(text: string): number {
  const match = /^GMT([+-])(\d{2}):(\d{2})$/.exec(text);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return match[1] === '-' ? -minutes : minutes;
}

/** A time as the clocks of a zone show it: ISO 8601 with the offset. @param zone a zone that {@link createZoneClock} accepts */
export function localTime(zone: string, ms: number): string {
  const { date, minute_of_day, offset_min } = readZone(zone, ms);
  const clockText = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  const sign = offset_min < 0 ? '-' : '+';
  return `${date}T${clockText(minute_of_day)}:00${sign}${clockText(Math.abs(offset_min))}`;
}
