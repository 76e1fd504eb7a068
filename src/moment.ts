import { z } from 'zod';

/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** A time: milliseconds since the epoch. */
export const epochMs = z.int().min(0);

/** The same as text. */
export const epochMsText = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

const isoMoment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** A time in a body: epoch milliseconds, or ISO 8601 with an offset. Parsed to epoch milliseconds. */
export const momentSchema = z.union([epochMs, isoMoment]);

/** A time in a query, where every value is text. */
export const queryMomentSchema = z.union([epochMsText, isoMoment]);
