import { useSyncExternalStore } from 'react';

const MINUTE = 60_000;

/** How often ages are told anew, in milliseconds. */
const STEP_MS = 20_000;

const inFull = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
});
const ofToday = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** The moment of now, as of a few seconds ago. Instants that count come from the broker; this is only for ages. */
function useNow(): number {
  return useSyncExternalStore(subscribe, nowMs);
}

let current = readClock();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function readClock(): number {
  return performance.timeOrigin + performance.now();
}

function nowMs(): number {
  return current;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    current = readClock();
    for (const each of listeners) each();
  }, STEP_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** A moment in the zone of the viewer, with its zone; the same in UTC stands in its `datetime` and its title. */
export function Moment({ ms, as = 'age' }: { ms: number; as?: 'age' | 'full' }) {
  const now = useNow();
  const utc = new Date(ms).toISOString();
  const full = inFull.format(ms);
  return (
    <time dateTime={utc} title={`${full} · ${utc.slice(0, 16).replace('T', ' ')} UTC`}>
      {as === 'full' ? full : (age(ms, now) ?? full)}
    </time>
  );
}

/** How long ago, or how long from now, if that is less than a week. */
function age(ms: number, now: number): string | null {
  // What happened since the minute began is later than this moment of now.
  if (ms >= now && ms - now < MINUTE) return 'just now';
  const minutes = Math.round((ms - now) / MINUTE);
  if (Math.abs(minutes) < 1) return 'just now';
  if (Math.abs(minutes) < 60) return ofToday.format(minutes, 'minute');
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 48) return ofToday.format(hours, 'hour');
  const days = Math.round(hours / 24);
  return Math.abs(days) < 7 ? ofToday.format(days, 'day') : null;
}
