/**
 * Windows and blackouts by code of their own, with nothing but Intl.DateTimeFormat and the comparison of texts: what the
 * Rego and the broker's next opening are held to.
 */

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

/** Each changes its offset; Lord Howe by half an hour, and in the other half of the year. */
export const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'] as const;

export interface Time {
  hour: number;
  minute: number;
}

export interface OracleWindow {
  zone: string;
  days: number[];
  start: Time;
  end: Time;
  holidays?: string[];
}

export interface OracleBlackout {
  zone: string;
  start: Time & { date: string };
  end: Time & { date: string };
}

export type Holidays = Record<string, Record<string, string>>;

const formatters = new Map<string, Intl.DateTimeFormat>();

/** The local time as `2026-03-29 01:59`. */
export function localText(zone: string, atMs: number): string {
  const formatter =
    formatters.get(zone) ??
    new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
  formatters.set(zone, formatter);
  return formatter.format(atMs);
}

/** The date that is so many days later. */
export function shiftDate(date: string, days: number): string {
  return new Date(Date.parse(`${date}T12:00:00Z`) + days * 24 * HOUR_MS).toISOString().slice(0, 10);
}

function text({ hour, minute }: Time): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
}

/** Whether some start of the window, today or yesterday, is followed by its end only later. */
export function isWindowOpen(window: OracleWindow, holidays: Holidays, atMs: number): boolean {
  const now = localText(window.zone, atMs);
  const today = now.slice(0, 10);
  return [today, shiftDate(today, -1)].some((date) => {
    const weekday = new Date(`${date}T12:00:00Z`).getUTCDay();
    if (!window.days.includes(weekday === 0 ? 7 : weekday)) return false;
    if (window.holidays?.some((name) => Object.keys(holidays[name] ?? {}).includes(date))) return false;
    const [start, end] = [text(window.start), text(window.end)];
    const endDate = end > start ? date : shiftDate(date, 1);
    return `${date} ${start}` <= now && now < `${endDate} ${end}`;
  });
}

export function isBlackedOut({ zone, start, end }: OracleBlackout, atMs: number): boolean {
  const now = localText(zone, atMs);
  return `${start.date} ${text(start)}` <= now && now < `${end.date} ${text(end)}`;
}

/** The minutes at which a zone changes its offset, in a span of years. */
export function offsetChanges(zone: string, firstYear: number, lastYear: number): number[] {
  const offsetAt = (atMs: number) => Date.parse(`${localText(zone, atMs).replace(' ', 'T')}:00Z`) - atMs;
  const changes: number[] = [];
  const end = Date.UTC(lastYear + 1, 0, 1);
  for (let hour = Date.UTC(firstYear, 0, 1); hour < end; hour += HOUR_MS) {
    if (offsetAt(hour) === offsetAt(hour + HOUR_MS)) continue;
    let minute = hour;
    while (offsetAt(minute) === offsetAt(minute + MINUTE_MS)) minute += MINUTE_MS;
    changes.push(minute + MINUTE_MS);
  }
  return changes;
}
