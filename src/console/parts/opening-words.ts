/** When a window opens. */
interface Opening {
  zone: string;
  opens_ms: number;
}

/** Further away than this, a weekday alone would be taken for another one, in milliseconds. */
const WEEK_MS = 6 * 86_400_000;

/**
 * When a window opens: by the clocks where it is meant, and by those of the viewer if they show something else.
 *
 * @param nowMs when the broker was asked
 */
export function openingInWords({ zone, opens_ms }: Opening, nowMs: number, ownZone: string): string {
  const isFar = opens_ms - nowMs > WEEK_MS;
  const day = (timeZone: string) =>
    new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'long',
      ...(isFar ? { day: 'numeric', month: 'long', year: 'numeric' } : {}),
    }).format(opens_ms);
  const time = (timeZone: string) =>
    new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' }).format(opens_ms);
  const city = (zone.split('/').at(-1) ?? zone).replaceAll('_', ' ');
  const there = `${day(zone)} ${time(zone)} ${city}`;
  if (day(zone) !== day(ownZone)) return `${there}, ${day(ownZone)} ${time(ownZone)} your time`;
  return time(zone) === time(ownZone) ? there : `${there}, ${time(ownZone)} your time`;
}
