import type { PolicyInput } from './input.ts';

type ZoneClock = PolicyInput['clock']['zones'][string];

const WEEKDAYS: Readonly<Record<string, number>> = { Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6, Sun: 7 };

/** The version of this process's time-zone database, which is part of every input. */
export const TZDB_VERSION = process.versions.tz ?? 'unknown';

/**
 * Wall-clock times for the zones that a policy names, so that Rego can evaluate windows without a clock of its own.
 *
 * Formatters are slow to create, so they are cached; wall-clock times are cached for their minute (offsets change on whole
 * minutes).
 *
 * @param zones IANA names as in the policy's data; they are the keys of the result
 */
export function createZoneClock(zones: readonly string[]): (nowMs: number) => Record<string, ZoneClock> {
  const formatters = zones.map((zone) => [zone, createFormatter(zone)] as const);
  let minute = -1;
  let readings: Record<string, ZoneClock> = {};
  return (nowMs) => {
    const thisMinute = Math.floor(nowMs / 60_000);
    if (thisMinute !== minute) {
      readings = Object.fromEntries(
        formatters.map(([zone, formatter]) => [zone, readZone(formatter, nowMs)]),
      );
      minute = thisMinute;
    }
    return readings;
  };
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

function readZone(formatter: Intl.DateTimeFormat, nowMs: number): ZoneClock {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatter.formatToParts(nowMs)) parts[type] = value;
  return {
    date: `${parts.year}-${parts.month}-${parts.day}`,
    iso_weekday: WEEKDAYS[parts.weekday ?? ''] ?? 0,
    minute_of_day: Number(parts.hour) * 60 + Number(parts.minute),
    offset_min: parseOffset(parts.timeZoneName ?? ''),
  };
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
  const reading = createZoneClock([zone])(ms)[zone];
  if (reading === undefined) throw new Error(`no clock of ${zone}`);
  const { date, minute_of_day, offset_min } = reading;
  const clockText = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  const sign = offset_min < 0 ? '-' : '+';
  return `${date}T${clockText(minute_of_day)}:00${sign}${clockText(Math.abs(offset_min))}`;
}
