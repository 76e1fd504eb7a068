import { z } from 'zod';
import { TIERS } from '../flags/model.ts';
import { isZone } from './zones.ts';

/**
 * The part of a bundle's data that says when time lets a change through: `config/windows`, `config/holidays` and
 * `config/blackouts` in the form of docs/policy.md. The Rego decides by it; the broker only tells when it next opens. So
 * nothing here is refused: a custom bundle may have anything under these names, and what has another form is not known.
 */
export interface CalendarData {
  windows: ReadonlyMap<string, Window>;
  /** The dates of each calendar, as `2026-12-25`. */
  holidays: ReadonlyMap<string, ReadonlySet<string>>;
  blackouts: ReadonlyMap<string, Blackout>;
}

const name = z.string().min(1);
const date = z.iso.date();
const time = (lastHour: number) =>
  z.strictObject({ hour: z.int().min(0).max(lastHour), minute: z.int().min(0).max(59) });

const isInDay = (at: { hour: number; minute: number }) => at.hour < 24 || at.minute === 0;
const NOT_IN_DAY = 'nothing is later than hour 24, minute 0';

/** A window, half-open in local time. */
export const windowSchema = z.strictObject({
  zone: name,
  /** The days on which it starts; 1 is Monday. */
  days: z.array(z.int().min(1).max(7)),
  start: time(23),
  /** On the next day, if it is not after the start. */
  end: time(24).refine(isInDay, NOT_IN_DAY),
  /** The calendars on whose dates it does not start. */
  holidays: z.array(name).optional(),
});

/** The holidays of a calendar: local date to name. */
export const holidaysSchema = z.record(date, name);

/** A blackout, half-open in local time, and what it closes. Only the Rego knows what a request has to do with it. */
export const blackoutSchema = z.strictObject({
  zone: name,
  start: time(23).extend({ date }),
  end: time(24).extend({ date }).refine(isInDay, NOT_IN_DAY),
  reason: name,
  environments: z.array(name).optional(),
  namespaces: z.array(name).optional(),
  except_tiers: z.array(z.enum(TIERS)).optional(),
  lower_passes: z.boolean().optional(),
  request_kinds: z.array(name).optional(),
});

export type Window = z.infer<typeof windowSchema>;
export type Blackout = z.infer<typeof blackoutSchema>;
type LocalTime = z.infer<ReturnType<typeof time>>;

/** Reads what has the documented form, and leaves out the rest. @param data the bundle's whole data */
export function readCalendar(data: unknown): CalendarData {
  const config = isObject(data) && isObject(data.config) ? data.config : {};
  return {
    windows: readRows(config.windows, inKnownZone(windowSchema)),
    holidays: readRows(config.holidays, holidaysSchema.transform(toDates)),
    blackouts: readRows(config.blackouts, inKnownZone(blackoutSchema)),
  };
}

/** The minute of the day of a local time; 1440 for 24:00. */
export function minuteOf({ hour, minute }: LocalTime): number {
  return hour * 60 + minute;
}

function inKnownZone<T extends { zone: string }>(schema: z.ZodType<T>): z.ZodType<T> {
  return schema.refine(({ zone }) => isZone(zone));
}

function toDates(holidays: object): Set<string> {
  return new Set(Object.keys(holidays));
}

function readRows<T>(table: unknown, schema: z.ZodType<T>): ReadonlyMap<string, T> {
  const rows = new Map<string, T>();
  for (const [name, row] of Object.entries(isObject(table) ? table : {})) {
    const parsed = schema.safeParse(row);
    if (parsed.success) rows.set(name, parsed.data);
  }
  return rows;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
