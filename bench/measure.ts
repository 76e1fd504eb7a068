import type { Child, Usage } from './child.ts';
import { mergeLatencies, quantileMs } from './latency.ts';
import type { Measurement, Run } from './load.ts';

/** A server of the benchmark: it tells where it listens, and what it has used until now. */
export type Server = Child<Record<never, never>, Usage & { url: string } & Partial<Lateness>>;
/** How late the thread of a server was since it was asked last, in milliseconds. */
export interface Lateness {
  lateP99Ms: number;
  lateMaxMs: number;
}
/** What makes load. */
export interface Load {
  ask(run: Run): Promise<Measurement>;
}

/** What is run, but for the server. */
export type Job = Omit<Run, 'url'>;

/** One side of a comparison: who is asked, and what. */
export interface Contestant {
  name: string;
  server: Server;
  job: Job;
}

/** One side of a comparison, measured. */
export interface Measured {
  name: string;
  /** The median of the rounds. */
  perSecond: number;
  /** Of all rounds together. */
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
  /** Processor time of the server for one unit, in microseconds; it says more than the rate on a busy machine. */
  cpuUs: number;
  /** The share of one core that the load generator used, in the round where it used most. */
  loadBusy: number;
}

/** How many clients warm a server up before a row is measured. */
const WARMUP_CLIENTS = 32;

interface Sample extends Measurement {
  cpuUs: number;
}

/**
 * Measures each contestant in turn, several rounds (A B A B …), so that whatever else the machine does meets all of
 * them.
 *
 * @param create called for each round, because some jobs can run only once
 */
export async function interleave(
  load: Load,
  rounds: number,
  create: () => readonly Contestant[] | Promise<readonly Contestant[]>,
): Promise<Measured[]> {
  const sampled = new Map<string, Sample[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, server, job } of await create()) {
      const samples = sampled.get(name) ?? [];
      samples.push(await sample(load, server, job));
      sampled.set(name, samples);
    }
  }
  return [...sampled].map(([name, samples]) => summarize(name, samples));
}

/** Runs each job unmeasured: the engine compiles what is hot only after thousands of calls. */
export async function warmUp(
  load: Load,
  contestants: readonly Contestant[],
  warmUpMs: number,
): Promise<Measurement[]> {
  const measured: Measurement[] = [];
  for (const { server, job } of contestants) {
    const { url } = await server.ask({});
    measured.push(await load.ask({ ...job, url, clients: WARMUP_CLIENTS, measureMs: warmUpMs }));
  }
  return measured;
}

async function sample(load: Load, server: Server, job: Job): Promise<Sample> {
  const before = await server.ask({});
  const measured = await load.ask({ ...job, url: before.url });
  const after = await server.ask({});
  return { ...measured, cpuUs: after.cpuUs - before.cpuUs };
}

function summarize(name: string, samples: readonly Sample[]): Measured {
  const latencies = mergeLatencies(samples.map((each) => each.latencies));
  const rates = samples.map(({ perSecond }) => perSecond).toSorted((one, other) => one - other);
  const sumOf = (of: (each: Sample) => number) => samples.reduce((sum, each) => sum + of(each), 0);
  return {
    name,
    perSecond: rates[Math.floor(rates.length / 2)] ?? Number.NaN,
    p50Ms: quantileMs(latencies, 0.5),
    p99Ms: quantileMs(latencies, 0.99),
    p999Ms: quantileMs(latencies, 0.999),
    maxMs: quantileMs(latencies, 1),
    cpuUs: sumOf(({ cpuUs }) => cpuUs) / sumOf(({ units }) => units),
    loadBusy: Math.max(...samples.map(({ loadBusy }) => loadBusy)),
  };
}
