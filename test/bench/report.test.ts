import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { fixed, megabytes, percent, times, whole } from '../../bench/figures.ts';
import { headline } from '../../bench/ratios.ts';
import { createReport, figures } from '../../bench/table.ts';

/* What could not be measured must not end a run of minutes, and must not be taken for a good number. */

/** What a number becomes on its way between two processes. */
const overIpc = (value: number): number => JSON.parse(JSON.stringify({ value })).value;

const UNKNOWN = [Number.NaN, overIpc(Number.NaN), Number.POSITIVE_INFINITY];

const measured = {
  name: 'broker',
  perSecond: 12_345.6,
  p50Ms: 1,
  p99Ms: 2.345,
  p999Ms: 3,
  maxMs: 4,
  cpuUs: 56.7,
  loadBusy: 0.5,
};

beforeEach(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
});

it('numbers that were not measured are written as a dash', () => {
  for (const value of UNKNOWN) {
    expect([whole, percent, times, megabytes].map((write) => write(value))).toEqual(Array(4).fill('–'));
    expect(fixed(value, 2)).toBe('–');
    expect(figures({ ...measured, p50Ms: value })).toEqual(['12,346', '–', '2.35', '3.00', '57']);
  }
  expect(fixed(undefined, 1)).toBe('–');
});

it('a table with a side that was not measured is written whole', () => {
  const report = createReport(0);
  const nothing = { ...measured, name: 'floor', perSecond: overIpc(Number.NaN), p50Ms: overIpc(Number.NaN) };
  expect(() => report.compare('one flag', 8, [measured, nothing])).not.toThrow();
  expect(() => report.finish()).not.toThrow();
});

it.each([
  [{ atMost: 20 }, 20, 'met'],
  [{ atMost: 20 }, 20.01, '**missed**'],
  [{ atLeast: 30_000 }, 30_000, 'met'],
  [{ atLeast: 30_000 }, 29_999, '**missed**'],
  [{ atMost: 20 }, Number.NaN, '**missed**'],
])('of the aim %j, %d is %s', (aim, value, verdict) => {
  const lines = headline({ ratios: [], measures: [{ what: 'pages', value, unit: 'ms', aim }] }, new Map());
  expect(lines.find((line) => line.startsWith('| pages'))).toContain(`: ${verdict} |`);
  expect(lines.at(-1)).toMatch(verdict === 'met' ? /^Every aim/ : /^\*\*Missed:\*\* pages: /);
});

it('a ratio to something that was not measured meets no aim', () => {
  const ratios = [{ what: 'one flag', against: 'bare node:http', clients: 8, ratio: Number.NaN }];
  const lines = headline({ ratios, measures: [] }, new Map());
  expect(lines.at(-1)).toMatch(/^\*\*Missed:\*\* one flag/);
});
