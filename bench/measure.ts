import type { Child, Usage } from './child.ts';
import type { Measurement, Run } from './load.ts';

/** A server process of the benchmark. */
export type Server = Child<Record<never, never>, Usage & { url: string } & Partial<Lateness>>;
/** How late the thread of a server was since it was asked last, in milliseconds. */
export interface Lateness {
  lateP99Ms: number;
  lateMaxMs: number;
}
/** The load generator. */
export type Load = Child<Run, Measurement>;

/** One run with what the server used for it. */
export interface ServerMeasurement extends Measurement {
  /** Processor time of the server for one unit, in microseconds; it says more than the rate on a busy machine. */
  cpuUs: number;
}

/** How many clients warm a server up before a row is measured. */
const WARMUP_CLIENTS = 32;

/** What is run, but for the server. */
export type Job = Omit<Run, 'url'>;

/**
 * Runs the same job against each server in turn, several rounds (A B A B …), so that whatever else the machine does
 * meets all of them. A job that can run only once is created again for each round.
 *
 * @returns for each server the round whose rate is the median
 */
export async function interleave(
  load: Load,
  servers: readonly Server[],
  options: { rounds: number; job: Job | (() => Promise<Job>) },
): Promise<ServerMeasurement[]> {
  const sampled = servers.map((): ServerMeasurement[] => []);
  for (let round = 0; round < options.rounds; round += 1) {
    const job = typeof options.job === 'function' ? await options.job() : options.job;
    for (const [place, server] of servers.entries()) {
      sampled[place]?.push(await sample(load, server, job));
    }
  }
  return sampled.map(medianOf);
}

/** Runs the job unmeasured: the engine compiles what is hot only after thousands of calls. */
export async function warmUp(load: Load, servers: readonly Server[], job: Job): Promise<void> {
  for (const server of servers)
    await sample(load, server, { ...job, clients: WARMUP_CLIENTS, measureMs: 2500 });
}

async function sample(load: Load, server: Server, job: Job): Promise<ServerMeasurement> {
  const before = await server.ask({});
  const measured = await load.ask({ ...job, url: before.url });
  const after = await server.ask({});
  // Units of the warm-up cost as well; the rate tells how many there were.
  const units = (measured.perSecond * (job.warmupMs + job.measureMs)) / 1000;
  return { ...measured, cpuUs: (after.cpuUs - before.cpuUs) / units };
}

function medianOf(rounds: readonly ServerMeasurement[]): ServerMeasurement {
  const sorted = rounds.toSorted((one, other) => one.perSecond - other.perSecond);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}
