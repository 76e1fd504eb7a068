import { type Child, startChild } from './child.ts';
import { fixed, whole } from './figures.ts';
import type { Contestant, Job, Load, Measured, Server } from './measure.ts';
import { interleave, warmUp } from './measure.ts';
import type { Peers } from './peers/peers.ts';
import { BASE, TEMPLATES } from './prepare.ts';
import type { ScenarioName } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { Report } from './table.ts';

/** How long and how often is measured. */
export interface Pace {
  rounds: number;
  /** How many clients a table has a row for. */
  clients: readonly number[];
  warmUpMs: number;
  settleMs: number;
  measureMs: number;
  /** Rows that the database with much in it has more. */
  seeded: number;
  /** Requests, and as many records, that lists with filters are asked for. */
  listed: number;
  /** Records of the log that is verified, at least. */
  verified: number;
  /** Requests that are due within one second. */
  due: number;
  /** Flags that a relay holds when its memory is measured. */
  relayFlags: number;
  /** Clients that follow the streams of a relay. */
  streams: number;
  /** Changes that are timed until a relay serves them. */
  served: number;
}

/** What the measurements share. */
export interface Bench {
  stage: Stage;
  load: Load;
  report: Report;
  pace: Pace;
  peers: Peers;
  tokens: string[];
  approverTokens: string[];
}

/** The most clients that any row has. */
export const MOST_CLIENTS = 32;

/** What is run for one row. */
export function job({ tokens, approverTokens, pace }: Bench, scenario: ScenarioName, clients: number): Job {
  const { settleMs, measureMs } = pace;
  const fixed = { others: [], unusedTokens: [], requests: [], status: 200 };
  return { scenario, clients, warmupMs: settleMs, measureMs, tokens, approverTokens, ...fixed };
}

/** Whom a table compares: each with the job that it is given for a number of clients. The broker is the first. */
export type Side = Omit<Contestant, 'job'> & { jobFor(clients: number): Job };

/** Measures all sides in turn, for each number of clients. */
export async function compare(
  bench: Bench,
  options: { what: string; sides: readonly Side[]; load?: Load },
): Promise<void> {
  const { report, pace } = bench;
  const { what, sides, load = bench.load } = options;
  const contestants = (clients: number) =>
    sides.map(({ name, server, jobFor }) => ({ name, server, job: jobFor(clients) }));
  await warmUp(load, contestants(MOST_CLIENTS), pace.warmUpMs);
  for (const clients of pace.clients) {
    report.compare(what, clients, await interleave(load, pace.rounds, () => contestants(clients)));
  }
}

/**
 * Measures all sides in turn with tokens that nobody has used. All sides of a round get the same ones: each has a
 * database of its own. How many there must be follows from the fastest rate so far.
 */
export async function compareAnew(
  bench: Bench,
  options: { what: string; sides: readonly Side[]; sign: () => Promise<string> },
): Promise<void> {
  const { load, report, pace } = bench;
  const { what, sides, sign } = options;
  let fastest = FIRST_RATE;
  const contestants = async (clients: number, runMs: number) => {
    const count = Math.ceil((fastest * runMs * MORE_TOKENS) / 1000);
    const unusedTokens = await Promise.all(Array.from({ length: count }, sign));
    return sides.map(({ name, server, jobFor }) => ({
      name,
      server,
      job: { ...jobFor(clients), unusedTokens },
    }));
  };
  const note = (found: readonly Pick<Measured, 'perSecond'>[]) => {
    fastest = Math.max(fastest, ...found.map(({ perSecond }) => perSecond));
  };
  note(await warmUp(load, await contestants(MOST_CLIENTS, pace.settleMs + pace.warmUpMs), pace.warmUpMs));
  for (const clients of pace.clients) {
    const measured = await interleave(load, pace.rounds, () =>
      contestants(clients, pace.settleMs + pace.measureMs),
    );
    note(measured);
    report.compare(what, clients, measured);
  }
}

/** Units a second, until one was measured. */
const FIRST_RATE = 3000;
/** A run that has used up its tokens ends before its time. */
const MORE_TOKENS = 1.3;

/** Starts the floor under governed writes and exchanges on a copy of the prepared database. */
export async function startFloor({ stage }: Bench, database: string): Promise<Server> {
  await stage.copyDatabase(BASE, database);
  const files = [stage.bundleFile, stage.file(database), stage.file(TEMPLATES)];
  return startChild('floor.ts', [...files, stage.people.issuer, stage.ci.issuer]);
}

/** Measures the parts of one child in turn, several rounds, and prints the median rate of each. @returns the rates */
export async function measureParts<Part extends string>(
  { report, pace }: Bench,
  child: Child<{ part: Part; measureMs: number }, number>,
  parts: Readonly<Record<Part, string>>,
): Promise<Record<Part, number>> {
  const names = Object.keys(parts) as Part[];
  const rates = new Map(names.map((part): [Part, number[]] => [part, []]));
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const part of names) rates.get(part)?.push(await child.ask({ part, measureMs: pace.measureMs }));
  }
  report.header(['', 'per second', 'µs each']);
  const medians = names.map((part): [Part, number] => [part, median(rates.get(part) ?? [])]);
  for (const [part, rate] of medians) {
    report.row([parts[part], whole(rate), fixed(1e6 / rate, 1)]);
  }
  return Object.fromEntries(medians) as Record<Part, number>;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
