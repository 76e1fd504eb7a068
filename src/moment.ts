import { z } from 'zod';

/** A time in a body: epoch milliseconds, or ISO 8601 with an offset. Parsed to epoch milliseconds. */
export const momentSchema = z.union([
  z.int().min(0),
  z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
]);

/** A time in a query, where every value is text. */
export const queryMomentSchema = z.union([
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
  z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
]);
