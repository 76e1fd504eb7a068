import { serve } from './child.ts';
import { type Connection, openConnection } from './connection.ts';
import { countLatencies, type Latencies } from './latency.ts';
import { createScenarios, type ScenarioName } from './scenarios.ts';

/**
 * The load generator: a process of its own, N clients in a closed loop, each with its own connection, token and flags.
 * It asserts that every answer is the expected one, so that a run of refusals is never taken for a fast run.
 */

/** One run. */
export interface Run {
  url: string;
  /** The addresses of other processes that answer the same: the clients are dealt out in turn. */
  others: readonly string[];
  scenario: ScenarioName;
  clients: number;
  warmupMs: number;
  measureMs: number;
  /** One token a client; they are dealt out in turn. */
  tokens: readonly string[];
  /** Tokens of those who approve. */
  approverTokens: readonly string[];
  /** Tokens that nobody has used, each for one unit. A run that has used them up ends, and is measured until then. */
  unusedTokens: readonly string[];
  /** What the clients of fixed requests send, dealt out in turn, and the status that each is answered with. */
  requests: readonly string[];
  status: number;
}

/** What one run measured. */
export interface Measurement {
  /** Units of work a second: one toggle, one cycle, one answer. */
  perSecond: number;
  latencies: Latencies;
  /** Units from the start to the end, with those that are not measured. */
  units: number;
  /** The share of one core that the generator itself used. */
  loadBusy: number;
}

const scenarios = createScenarios();

async function measure(run: Run): Promise<Measurement> {
  const connections: Connection[] = [];
  const urls = [run.url, ...run.others];
  for (let client = 0; client < run.clients; client += 1)
    connections.push(await openConnection(pick(urls, client)));
  const before = performance.eventLoopUtilization();
  try {
    const measured = await runAll(run, connections);
    const { utilization } = performance.eventLoopUtilization(before);
    return { ...measured, loadBusy: utilization };
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function runAll(run: Run, connections: readonly Connection[]): Promise<Omit<Measurement, 'loadBusy'>> {
  const unusedTokens = run.unusedTokens.values();
  const begunMs = performance.now();
  const fromMs = begunMs + run.warmupMs;
  let untilMs = fromMs + run.measureMs;
  let units = 0;
  const tookMs: number[] = [];

  function takeToken(): string | undefined {
    const { value } = unusedTokens.next();
    // The units that are under way then are not measured: they are fewer than there are clients.
    if (value === undefined) untilMs = Math.min(untilMs, performance.now());
    return value;
  }

  async function loop(connection: Connection, client: number): Promise<void> {
    const unit = scenarios[run.scenario]({
      connection,
      client,
      target: run.url,
      token: pick(run.tokens, client),
      approverToken: pick(run.approverTokens, client),
      request: pick(run.requests, client),
      status: run.status,
      takeToken,
    });
    for (let startMs = performance.now(); startMs < untilMs; ) {
      if (!(await unit())) return;
      units += 1;
      const endMs = performance.now();
      // However slow the machine is now, something is measured.
      if (tookMs.length === 0) untilMs = Math.max(untilMs, endMs);
      if (endMs >= fromMs && endMs <= untilMs) tookMs.push(endMs - startMs);
      startMs = endMs;
    }
  }

  await Promise.all(connections.map(loop));
  if (tookMs.length === 0)
    throw new Error(`all tokens were used up before the first ${run.scenario} was measured`);
  return {
    perSecond: (tookMs.length * 1000) / (untilMs - fromMs),
    latencies: countLatencies(tookMs),
    units,
  };
}

function pick(values: readonly string[], client: number): string {
  return values[client % values.length] ?? '';
}

if (process.send !== undefined) serve<Run>({ answer: measure, end: async () => undefined });
