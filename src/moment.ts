import { z } from 'zod';

/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** A moment: milliseconds since the epoch. */
export const epochMs = z.int().min(0);

/** The same where everything is text. */
export const epochMsText = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

const isoMoment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** A moment in a body: epoch milliseconds, or ISO 8601 with an offset. Read as epoch milliseconds. */
export const momentSchema = z.union([epochMs, isoMoment]);

/** A moment in a query, where everything is text. */
export const queryMomentSchema = z.union([epochMsText, isoMoment]);
