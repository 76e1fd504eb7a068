import { z } from 'zod';
import { DAY_MS, epochMs } from '../moment.ts';
import type { Db } from '../store/statement.ts';
import { countByDay, listAppliedTimes } from '../store/summary.ts';

/** The most days of one summary. */
export const MAX_DAYS = 366;
/** The applied requests of one day whose waiting times are read. */
const MAX_APPLIED = 10_000;

const daySchema = z
  .object({
    from_ms: epochMs.meta({ description: 'The first moment of the day, in UTC.' }),
    applied: z.int().meta({ description: 'Requests that were applied.' }),
    held: z.int().meta({ description: 'Decisions that held something back.' }),
    denied: z
      .int()
      .meta({ description: 'Decisions that denied something, repeated denials of strangers once.' }),
    median_wait_ms: z.int().nullable().meta({
      description:
        'The median time from the proposal to the application, of those that waited; null if none did.',
    }),
    longest_wait_ms: z.int().nullable(),
  })
  .meta({ id: 'DaySummary' });

/** What happened by day. */
export const summarySchema = z.object({ days: z.array(daySchema) }).meta({ id: 'Summary' });
export type Summary = z.infer<typeof summarySchema>;

/** Counts what happened on each day of a time, from indices. Whole days in UTC, oldest first. */
export async function summarise(
  db: Db,
  { from_ms, to_ms }: { from_ms: number; to_ms: number },
): Promise<Summary> {
  const first = Math.floor(from_ms / DAY_MS);
  const end = Math.ceil(to_ms / DAY_MS);
  const whole = { from_ms: first * DAY_MS, to_ms: end * DAY_MS };
  const held = await countByDay(db, { outcome: 'hold', ...whole });
  const denied = await countByDay(db, { outcome: 'deny', ...whole });
  const days: Summary['days'] = [];
  for (let day = first; day < end; day += 1) {
    const span = { from_ms: day * DAY_MS, to_ms: (day + 1) * DAY_MS };
    const applied = await listAppliedTimes(db, { ...span, limit: MAX_APPLIED });
    const waits = applied
      .map(({ created_ms, updated_ms }) => updated_ms - created_ms)
      .filter((wait) => wait > 0)
      .sort((one, other) => one - other);
    days.push({
      from_ms: span.from_ms,
      applied: applied.length,
      held: held.get(day) ?? 0,
      denied: denied.get(day) ?? 0,
      median_wait_ms: waits[Math.floor((waits.length - 1) / 2)] ?? null,
      longest_wait_ms: waits.at(-1) ?? null,
    });
  }
  return { days };
}
