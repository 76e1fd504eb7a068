import { writeFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import type { ServerMeasurement } from './measure.ts';

/** The report: tables in Markdown, printed as they grow and kept at the end. */
export interface Report {
  heading(text: string, note: string): void;
  row(cells: readonly string[]): void;
  header(cells: readonly string[]): void;
  save(file: URL): void;
}

/** Creates a report that begins with what it was measured on. */
export function createReport(takenMs: number): Report {
  const lines: string[] = [];
  const print = (line: string) => {
    lines.push(line);
    console.log(line);
  };
  const row = (cells: readonly string[]) => print(`| ${cells.join(' | ')} |`);
  print('# Benchmark');
  print('');
  print(
    `${new Date(takenMs).toISOString().slice(0, 10)}, Node ${process.versions.node}, ${arch()}, ${cpus().length} cores shared with the load generator; medians of interleaved runs. Compare within the run: absolute numbers drift with the machine.`,
  );
  return {
    heading: (text, note) => {
      print('');
      print(`## ${text}`);
      print('');
      print(note);
      print('');
    },
    header: (cells) => {
      row(cells);
      print(`|${cells.map((_, place) => (place === 0 ? '---|' : '--:|')).join('')}`);
    },
    row,
    save: (file) => writeFileSync(file, `${lines.join('\n')}\n`),
  };
}

/** The heads of {@link comparison}. */
export const COMPARISON = [
  '',
  'clients',
  'per second',
  'p50 ms',
  'p99 ms',
  'CPU µs each',
  'floor per second',
  'floor p50 ms',
  'floor p99 ms',
  'floor CPU µs each',
  'share of the floor',
  'load busy',
] as const;

/** One line: product beside floor. `load busy` near 100 % means that the load generator was the limit. */
export function comparison(
  name: string,
  clients: number,
  [product, floor]: readonly ServerMeasurement[],
): string[] {
  if (product === undefined || floor === undefined) throw new Error('a comparison takes two');
  const busy = Math.max(product.loadBusy, floor.loadBusy);
  return [
    name,
    String(clients),
    ...figures(product),
    ...figures(floor),
    percent(product.perSecond / floor.perSecond),
    percent(busy),
  ];
}

/** Rate, p50, p99 and processor time. */
export function figures({ perSecond, p50Ms, p99Ms, cpuUs }: ServerMeasurement): string[] {
  return [whole(perSecond), p50Ms.toFixed(2), p99Ms.toFixed(2), whole(cpuUs)];
}

/** A whole number with thin groups. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A share as per cent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Bytes as MB. */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
