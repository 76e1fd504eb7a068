import { z } from 'zod';

/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** A time: milliseconds since the epoch. */
export const epochMs = z.int().min(0);

/** A time from a caller: epoch milliseconds, or ISO 8601 with an offset. */
export const momentSchema = z.union([
  epochMs,
  z.iso.datetime({ offset: true }).refine((text) => Date.parse(text) >= 0, 'Use a time after 1970.'),
]);
export type Moment = z.infer<typeof momentSchema>;

/** A time in epoch milliseconds. */
export function toEpochMs(moment: Moment): number {
  return typeof moment === 'number' ? moment : Date.parse(moment);
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
