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
