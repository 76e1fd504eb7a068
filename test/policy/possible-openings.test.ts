import { describe, expect, it } from 'vitest';
import { possibleOpenings } from '../../src/policy/possible-openings.ts';
import { localTime } from '../../src/policy/zones.ts';

const at = (iso: string) => Date.parse(iso);
const everyDay = [1, 2, 3, 4, 5, 6, 7];

function openings(window: object, from: string, count = 3): string[] {
  const data = { config: { windows: { window } } };
  return possibleOpenings(data, ['window'], at(from))
    .slice(0, count)
    .map(({ zone, opens_ms }) => localTime(zone, opens_ms));
}

describe('the starts of a window', () => {
  it('are at its local time on its days, after the given moment', () => {
    const window = { zone: 'America/New_York', days: [1, 6], start: { hour: 22, minute: 15 } };
    expect(openings(window, '2026-11-20T12:00:00Z')).toEqual([
      '2026-11-21T22:15:00-05:00',
      '2026-11-23T22:15:00-05:00',
      '2026-11-28T22:15:00-05:00',
    ]);
    expect(openings(window, '2026-11-22T03:15:00Z', 1)).toEqual(['2026-11-23T22:15:00-05:00']);
  });

  it('move with the change to summer time; one that it skips is at the change', () => {
    const window = { zone: 'Europe/Berlin', days: everyDay, start: { hour: 2, minute: 30 } };
    expect(openings(window, '2027-03-26T12:00:00Z')).toEqual([
      '2027-03-27T02:30:00+01:00',
      '2027-03-28T03:00:00+02:00',
      '2027-03-29T02:30:00+02:00',
    ]);
  });

  it('that the change back repeats are there twice', () => {
    const window = { zone: 'Europe/Berlin', days: everyDay, start: { hour: 2, minute: 30 } };
    expect(openings(window, '2026-10-24T12:00:00Z')).toEqual([
      '2026-10-25T02:30:00+02:00',
      '2026-10-25T02:30:00+01:00',
      '2026-10-26T02:30:00+01:00',
    ]);
  });

  it('of several windows are in the order of time', () => {
    const row = (zone: string) => ({ zone, days: everyDay, start: { hour: 9, minute: 0 } });
    const data = { config: { windows: { west: row('America/New_York'), east: row('Asia/Tokyo') } } };
    const found = possibleOpenings(data, ['west', 'east'], at('2026-11-20T00:30:00Z'));
    expect(found.slice(0, 3).map(({ window }) => window)).toEqual(['west', 'east', 'west']);
  });

  it.each([
    [{ config: { windows: { other: 'form' } } }],
    [{ config: { windows: { window: { zone: 'Mars/Base', days: [1], start: { hour: 1, minute: 0 } } } } }],
    [{ config: {} }],
    [null],
  ])('of %j, which is of another form, are none', (data) => {
    expect(possibleOpenings(data, ['window', 'other', '__proto__'], 0)).toEqual([]);
  });
});
