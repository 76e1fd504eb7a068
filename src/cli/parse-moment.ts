import { readMoment } from '../moment.ts';
import { usageError } from './cli-error.ts';

/** Epoch milliseconds as text. */
const EPOCH_MS = /^\d{1,15}$/;

/** The description of a moment in `--help`. */
export const MOMENT_HELP = 'ISO 8601 with an offset, a date (from midnight UTC), or epoch milliseconds';

/**
 * Parses a moment into epoch milliseconds. Texts are read as the broker reads them.
 *
 * @param or the keyword that the option also accepts, for the error message
 * @throws CliError `usage`
 */
export function parseMoment(option: string, text: string, or?: string): number {
  if (EPOCH_MS.test(text)) return Number(text);
  const read = readMoment(text);
  if ('ms' in read) return read.ms;
  const besides = or === undefined ? '' : `, or ${or}`;
  throw usageError(
    `${option}: invalid time "${text}". ${read.fault} Or give epoch milliseconds such as 1795248000000${besides}.`,
  );
}
