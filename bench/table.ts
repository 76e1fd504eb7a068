import { writeFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { fixed, percent, times, whole } from './figures.ts';
import type { Measured } from './measure.ts';
import { headline, type Measure, type Ratio, ratiosOf } from './ratios.ts';

/** The report: tables in Markdown, printed as they grow, and kept with the ratios before them. */
export interface Report {
  heading(text: string, note: string): void;
  row(cells: readonly string[]): void;
  header(cells: readonly string[]): void;
  /** One row for each that was measured, the product first; its ratio to each of the others goes into the headline. */
  compare(what: string, clients: number, measured: readonly Measured[]): void;
  ratios(found: readonly Ratio[]): void;
  /** What has an aim of its own. */
  measures(found: readonly Measure[]): void;
  /** Says loudly who was to be measured, and could not be. */
  skip(name: string, why: string): void;
  /** Prints the ratios. */
  finish(): void;
  save(file: URL): void;
}

/** The heads of what {@link Report.compare} prints. */
export const COMPARISON = [
  '',
  'clients',
  'who',
  'per second',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'CPU µs each',
  'load busy',
  'broker against it',
] as const;

/** Creates a report that begins with what it was measured on. */
export function createReport(takenMs: number): Report {
  const ratios: Ratio[] = [];
  const measures: Measure[] = [];
  const skipped = new Map<string, string>();
  const begin = [
    '# Benchmark',
    '',
    `${new Date(takenMs).toISOString().slice(0, 10)}, Node ${process.versions.node}, ${arch()}, ${cpus().length} cores shared with the load generator; rates are medians of interleaved runs, times are of all runs together. Compare within the run: absolute numbers drift with the machine.`,
    '',
  ];
  const lines: string[] = [];
  const print = (line: string) => {
    lines.push(line);
    console.log(line);
  };
  const row = (cells: readonly string[]) => print(`| ${cells.join(' | ')} |`);
  for (const line of begin) console.log(line);
  return {
    heading: (text, note) => {
      if (lines.length > 0) print('');
      for (const line of [`## ${text}`, '', note, '']) print(line);
    },
    header: (cells) => {
      row(cells);
      print(`|${cells.map((_, place) => (place === 0 ? '---|' : '--:|')).join('')}`);
    },
    row,
    compare: (what, clients, measured) => {
      for (const cells of comparison(what, clients, measured)) row(cells);
      ratios.push(...ratiosOf(what, clients, measured));
    },
    ratios: (found) => ratios.push(...found),
    measures: (found) => measures.push(...found),
    skip: (name, why) => {
      console.log(`\n**SKIPPED: ${name}.** ${why}\n`);
      skipped.set(name, why);
    },
    finish: () => {
      for (const line of ['', ...headline({ ratios, measures }, skipped)]) console.log(line);
    },
    save: (file) =>
      writeFileSync(
        file,
        `${[...begin, ...headline({ ratios, measures }, skipped), '', ...lines].join('\n')}\n`,
      ),
  };
}

function comparison(what: string, clients: number, measured: readonly Measured[]): string[][] {
  const [product] = measured;
  return measured.map((each, place) => [
    place === 0 ? what : '',
    place === 0 ? String(clients) : '',
    each.name,
    ...figures(each),
    percent(each.loadBusy),
    place === 0 ? '' : times((product?.perSecond ?? Number.NaN) / each.perSecond),
  ]);
}

/** Rate, p50, p99, p99.9 and processor time. */
export function figures({ perSecond, p50Ms, p99Ms, p999Ms, cpuUs }: Measured): string[] {
  return [whole(perSecond), ...[p50Ms, p99Ms, p999Ms].map((ms) => fixed(ms, 2)), whole(cpuUs)];
}
