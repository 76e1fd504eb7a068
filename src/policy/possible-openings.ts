import { z } from 'zod';
import { createZoneClock } from './zones.ts';

/** A time at which time may let a change through. */
export interface WindowOpening {
  /** The window that opens; null if only blackouts are in the way. */
  window: string | null;
  /** The IANA zone of the window, or of the blackout. */
  zone: string;
  opens_ms: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** How far to look ahead: two weeks have every weekday twice. */
const DAYS_AHEAD = 15;

const wallSchema = z.looseObject({ hour: z.int().min(0).max(23), minute: z.int().min(0).max(59) });
const windowSchema = z.looseObject({
  zone: z.string(),
  days: z.array(z.int().min(1).max(7)),
  start: wallSchema,
});
const windowsSchema = z.looseObject({
  config: z.looseObject({ windows: z.record(z.string(), z.unknown()) }),
});

/**
 * The times in the next two weeks at which the named windows of `data.config.windows` start, in order. Whether a window is
 * then really open is for the policy to say, which may know holidays and more.
 *
 * A start that the change to summer time skips is at the change; one that the change back repeats is there twice. Windows
 * of other forms than those of the shipped policy are left out.
 */
export function possibleOpenings(data: unknown, names: readonly string[], fromMs: number): WindowOpening[] {
  const parsed = windowsSchema.safeParse(data);
  if (!parsed.success) return [];
  const { windows } = parsed.data.config;
  return names
    .flatMap((name) => {
      const window = windowSchema.safeParse(Object.hasOwn(windows, name) ? windows[name] : undefined);
      return window.success ? startsOf(name, window.data, fromMs) : [];
    })
    .sort((one, other) => one.opens_ms - other.opens_ms);
}

function startsOf(
  name: string,
  { zone, days, start }: z.infer<typeof windowSchema>,
  fromMs: number,
): WindowOpening[] {
  let readAt: ReturnType<typeof createZoneClock>;
  try {
    readAt = createZoneClock([zone]);
  } catch {
    // A zone that this machine does not know.
    return [];
  }
  const offsetAt = (ms: number) => (readAt(ms)[zone]?.offset_min ?? 0) * MINUTE_MS;
  const today = Math.floor((fromMs + offsetAt(fromMs)) / DAY_MS) * DAY_MS;
  const minutes = start.hour * 60 + start.minute;
  const found: WindowOpening[] = [];
  for (let day = 0; day <= DAYS_AHEAD; day += 1) {
    const wallMs = today + day * DAY_MS + minutes * MINUTE_MS;
    if (!days.includes(isoWeekday(wallMs))) continue;
    for (const opens_ms of instantsOf(wallMs, offsetAt)) {
      if (opens_ms > fromMs) found.push({ window: name, zone, opens_ms });
    }
  }
  return found;
}

/** The weekday of a wall-clock time that is written as if it were UTC: 1 is Monday. */
function isoWeekday(wallMs: number): number {
  return new Date(wallMs).getUTCDay() || 7;
}

/** When the clocks of a zone show a time: once, twice, or, where it is skipped, the moment of the change. */
function instantsOf(wallMs: number, offsetAt: (ms: number) => number): number[] {
  const before = offsetAt(wallMs - DAY_MS);
  const after = offsetAt(wallMs + DAY_MS);
  const candidates = [...new Set([wallMs - before, wallMs - after])].sort((one, other) => one - other);
  const shown = candidates.filter((ms) => ms + offsetAt(ms) === wallMs);
  if (shown.length > 0) return shown;
  let [low = wallMs, high = wallMs] = candidates;
  while (high - low > MINUTE_MS) {
    const middle = low + Math.floor((high - low) / 2 / MINUTE_MS) * MINUTE_MS;
    if (offsetAt(middle) === after) high = middle;
    else low = middle;
  }
  return [high];
}
