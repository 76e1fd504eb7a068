import { type Child, startChild } from './child.ts';
import type { Job, Load, Server } from './measure.ts';
import { BASE, TEMPLATES } from './prepare.ts';
import type { ScenarioName } from './scenarios.ts';
import type { Stage } from './stage.ts';
import { type Report, whole } from './table.ts';

/** How long and how often is measured. */
export interface Pace {
  rounds: number;
  settleMs: number;
  measureMs: number;
  /** Rows that the database with much in it has more. */
  seeded: number;
}

/** What the measurements share. */
export interface Bench {
  stage: Stage;
  load: Load;
  report: Report;
  pace: Pace;
  tokens: string[];
  approverTokens: string[];
}

/** How many clients a table has a row for. */
export const CLIENTS = [1, 8, 32];

/** What is run for one row. */
export function job({ tokens, approverTokens, pace }: Bench, scenario: ScenarioName, clients: number): Job {
  const { settleMs, measureMs } = pace;
  return { scenario, clients, warmupMs: settleMs, measureMs, tokens, approverTokens, subjectTokens: [] };
}

/** Starts the floor under governed writes and exchanges on a copy of the prepared database. */
export async function startFloor({ stage }: Bench, database: string): Promise<Server> {
  await stage.copyDatabase(BASE, database);
  const files = [stage.bundleFile, stage.file(database), stage.file(TEMPLATES)];
  return startChild('floor.ts', [...files, stage.people.issuer, stage.ci.issuer]);
}

/** Measures the parts of one child in turn, several rounds, and prints the median rate of each. */
export async function measureParts<Part extends string>(
  { report, pace }: Bench,
  child: Child<{ part: Part; measureMs: number }, number>,
  parts: Readonly<Record<Part, string>>,
): Promise<void> {
  const names = Object.keys(parts) as Part[];
  const rates = new Map(names.map((part): [Part, number[]] => [part, []]));
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const part of names) rates.get(part)?.push(await child.ask({ part, measureMs: pace.measureMs }));
  }
  report.header(['', 'per second', 'µs each']);
  for (const part of names) {
    const rate = median(rates.get(part) ?? []);
    report.row([parts[part], whole(rate), (1e6 / rate).toFixed(1)]);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
