import { cpus } from 'node:os';
import { type Child, startChild } from './child.ts';
import { mergeLatencies } from './latency.ts';
import type { Measurement, Run } from './load.ts';
import type { Load } from './measure.ts';
import { createWrk, findWrk } from './wrk.ts';

/** A generator for answers that take less time than asking for them. */
export interface Generator extends Load {
  /** What it is, for the report. */
  name: string;
  end(): Promise<void>;
}

const MOST_PROCESSES = 4;

/** `wrk` where it is there, else several processes of the benchmark's own generator. */
export async function openGenerator(): Promise<Generator> {
  const program = await findWrk();
  if (program !== null)
    return { name: 'wrk, on one thread', ...createWrk(program), end: async () => undefined };
  const count = Math.max(2, Math.min(MOST_PROCESSES, cpus().length));
  const children = await Promise.all(
    Array.from({ length: count }, () => startChild<Run, Measurement>('load.ts')),
  );
  return {
    name: `${count} processes of the benchmark (wrk was not found)`,
    ask: (run) => askAll(children, run),
    end: async () => {
      for (const child of children) await child.end();
    },
  };
}

/** Divides the clients among the processes. */
async function askAll(children: readonly Child<Run, Measurement>[], run: Run): Promise<Measurement> {
  const used = children.slice(0, run.clients);
  const parts = await Promise.all(
    used.map((child, place) => {
      const isOf = (client: number) => client % used.length === place;
      const clients = Array.from({ length: run.clients }, (_, client) => client).filter(isOf);
      const requests = clients.map((client) => run.requests[client % run.requests.length] ?? '');
      return child.ask({ ...run, clients: clients.length, requests });
    }),
  );
  const sumOf = (of: (part: Measurement) => number) => parts.reduce((sum, part) => sum + of(part), 0);
  return {
    perSecond: sumOf(({ perSecond }) => perSecond),
    latencies: mergeLatencies(parts.map(({ latencies }) => latencies)),
    units: sumOf(({ units }) => units),
    loadBusy: Math.max(...parts.map(({ loadBusy }) => loadBusy)),
  };
}
