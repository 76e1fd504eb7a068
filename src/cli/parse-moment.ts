import { z } from 'zod';
import { usageError } from './cli-error.ts';

const isoSchema = z
  .union([z.iso.date(), z.iso.datetime({ offset: true }), z.iso.datetime({ offset: true, precision: -1 })])
  .transform((text) => Date.parse(text))
  .pipe(z.int().min(0));
/** Epoch milliseconds as text. */
const epochMsText = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

const momentSchema = z.union([epochMsText, isoSchema]);

/** The description of a moment in `--help`. */
export const MOMENT_HELP = 'ISO 8601 with an offset, a date (from midnight UTC), or epoch milliseconds';

/**
 * Parses a moment into epoch milliseconds. A date stands for its first moment in UTC.
 *
 * @param or the keyword that the option also accepts, for the error message
 * @throws CliError `usage`
 */
export function parseMoment(option: string, text: string, or?: string): number {
  const parsed = momentSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  const besides = or === undefined ? '' : `, or ${or}`;
  throw usageError(
    `${option}: invalid time "${text}". Write it as 2026-11-21T09:00:00+01:00, as the date 2026-11-21 (from midnight UTC), or as epoch milliseconds such as 1795248000000${besides}.`,
  );
}
