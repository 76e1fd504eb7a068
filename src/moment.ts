import { z } from 'zod';

/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** A time: milliseconds since the epoch. */
export const epochMs = z.int().min(0);

/** The forms of a time, in the order in which people should learn them. */
const FORMS =
  'Write it as 2026-11-21T09:00:00+01:00 or 2026-11-21T08:00Z, with or without seconds, or as the date 2026-11-21 (from midnight UTC).';

/** A date, then perhaps a time of day, then perhaps an offset. RFC 3339 lets a blank stand for the `T`. */
const TEXT = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/i;

const strictSchema = z.iso.datetime({ offset: true });

/**
 * Reads a time that a person wrote: the one reader of times, for the API and the command line. Without an offset a time of
 * day is refused: it would mean another moment on another machine.
 *
 * @returns epoch milliseconds, or what is expected instead
 */
export function readMoment(text: string): { ms: number } | { fault: string } {
  const [, date, minutes, seconds = ':00', offset] = TEXT.exec(text) ?? [];
  if (date === undefined) return { fault: FORMS };
  if (minutes !== undefined && offset === undefined) {
    return { fault: `Add the offset from UTC, such as Z or +01:00. ${FORMS}` };
  }
  const strict = `${date}T${minutes ?? '00:00'}${seconds}${offset ?? 'Z'}`.toUpperCase();
  if (!strictSchema.safeParse(strict).success) return { fault: `There is no such time. ${FORMS}` };
  const ms = Date.parse(strict);
  return ms >= 0 ? { ms } : { fault: 'Use a time after 1970.' };
}

/**
 * A time as text, in any form that people write. It stays as it was written; {@link toEpochMs} converts it.
 *
 * @param documented the form that documents name, for programs
 */
function momentText(documented: z.ZodType): z.ZodString {
  const { format = '', pattern = '' } = z.toJSONSchema(documented);
  return z
    .string()
    .check(({ value, issues }) => {
      const read = readMoment(value);
      if ('fault' in read) issues.push({ code: 'custom', message: read.fault, input: value });
    })
    .meta({ override: { format, pattern } });
}

/** A time as text; for a date, the first moment of that day in UTC. */
export const momentTextSchema = z.union([momentText(z.iso.date()), momentText(strictSchema)]);

/** A time from a caller: epoch milliseconds, or a text. */
export const momentSchema = z.union([epochMs, momentText(strictSchema)]);
export type Moment = z.infer<typeof momentSchema>;

/** A time in epoch milliseconds. */
export function toEpochMs(moment: Moment): number {
  if (typeof moment === 'number') return moment;
  const read = readMoment(moment);
  if ('fault' in read) throw new Error(`not a time: ${moment}`);
  return read.ms;
}

/**
 * A time in words, with its zone: `Fri 20 Nov 2026, 09:00 (Europe/Berlin)`; in UTC `Fri 20 Nov 2026, 08:00 UTC`. Seconds are
 * told where there are any.
 *
 * @param zone an IANA zone that the host knows
 */
export function inWords(zone: string, ms: number): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    ...{ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' },
    ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
  }).formatToParts(ms);
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((each) => each.type === type)?.value ?? '';
  const seconds = part('second') === '00' ? '' : `:${part('second')}`;
  const clock = `${part('hour')}:${part('minute')}${seconds}`;
  // Some versions of the locale's data abbreviate September to four letters.
  const date = [part('weekday'), part('day'), part('month').slice(0, 3), part('year')].join(' ');
  return `${date}, ${clock} ${zone === 'UTC' ? 'UTC' : `(${zone})`}`;
}
