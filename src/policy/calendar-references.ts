import type { SchemaFault } from '../schema-faults.ts';
import { type Blackout, minuteOf } from './calendar.ts';
import type { DataFolders } from './data-schema.ts';
import { instantsOf, isZone } from './zones.ts';

/*
 * What holidays and blackouts say about other folders of a bundle's data. Every write is denied while a name here leads
 * nowhere, so it is found before the bundle is used.
 */

/** All faults of holidays and blackouts, with their places under `data.config`. */
export function calendarFaults(folders: DataFolders): SchemaFault[] {
  return [...holidayFaults(folders), ...blackoutFaults(folders)];
}

function holidayFaults({ windows = {}, holidays = {} }: DataFolders): SchemaFault[] {
  return Object.entries(windows).flatMap(([name, window]) =>
    (window.holidays ?? []).flatMap((calendar, index) => {
      if (Object.hasOwn(holidays, calendar)) return [];
      const detail = `there is no calendar "${calendar}": add it to \`holidays\`, or correct it`;
      return [{ path: ['windows', name, 'holidays', index], detail }];
    }),
  );
}

function blackoutFaults({
  blackouts = {},
  zones = [],
  environments = {},
  request_kinds = {},
}: DataFolders): SchemaFault[] {
  const kinds = new Set(Object.values(environments).map(({ kind }) => kind));
  const requestKinds = new Set(['flag.change', ...Object.keys(request_kinds)]);
  return Object.entries(blackouts).flatMap(([name, blackout]) => {
    const path = ['blackouts', name];
    if (!zones.includes(blackout.zone)) {
      const detail = `"${blackout.zone}" is not in \`zones\`, so every write is denied: add it there, or correct it`;
      return [{ path: [...path, 'zone'], detail }];
    }
    return [
      ...edgeFaults(blackout).map((fault) => ({ ...fault, path: [...path, ...fault.path] })),
      ...strangers(blackout.environments, kinds).map(({ index, name: kind }) => ({
        path: [...path, 'environments', index],
        detail: `no environment is of kind "${kind}", so it closes nothing there`,
      })),
      ...strangers(blackout.request_kinds, requestKinds).map(({ index, name: kind }) => ({
        path: [...path, 'request_kinds', index],
        detail: `there is no kind of requests "${kind}" in \`request_kinds\``,
      })),
    ];
  });
}

/** A local time that comes twice would open the blackout for the hour in between. */
function edgeFaults({ zone, start, end }: Blackout): SchemaFault[] {
  if (!isZone(zone)) return [];
  return Object.entries({ start, end }).flatMap(([edge, { date, ...at }]) => {
    const times = instantsOf(zone, date, minuteOf(at)).length;
    if (times === 1) return [];
    const fault = times === 0 ? 'does not exist' : 'comes twice';
    const detail = `the clocks of ${zone} change then, so this time ${fault}: choose another`;
    return [{ path: [edge], detail }];
  });
}

function strangers(
  names: readonly string[] | undefined,
  known: ReadonlySet<string>,
): { index: number; name: string }[] {
  return (names ?? []).flatMap((name, index) => (known.has(name) ? [] : [{ index, name }]));
}
