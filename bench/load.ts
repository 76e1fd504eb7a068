import { serve } from './child.ts';
import { type Connection, openConnection } from './connection.ts';
import { createScenarios, type ScenarioName } from './scenarios.ts';

/**
 * The load generator: a process of its own, N clients in a closed loop, each with its own connection, token and flags.
 * It asserts that every answer is the expected one, so that a run of refusals is never taken for a fast run.
 */

/** One run. */
export interface Run {
  url: string;
  scenario: ScenarioName;
  clients: number;
  warmupMs: number;
  measureMs: number;
  /** One token a client; they are dealt out in turn. */
  tokens: readonly string[];
  /** Tokens of those who approve. */
  approverTokens: readonly string[];
  /** Platform tokens to exchange, each once; enough for the run. */
  subjectTokens: readonly string[];
}

/** What one run measured. */
export interface Measurement {
  /** Units of work a second: one toggle, one cycle, one answer. */
  perSecond: number;
  /** HTTP calls a unit takes. */
  callsPerUnit: number;
  /** Of one unit, in milliseconds; exact, from all that were measured. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  units: number;
  /** Share of the time that this process was busy; near 1 the load generator is what was measured. */
  loadBusy: number;
}

const scenarios = createScenarios();

async function measure(run: Run): Promise<Measurement> {
  const scenario = scenarios[run.scenario];
  const connections: Connection[] = [];
  const subjectTokens = run.subjectTokens.values();
  for (let client = 0; client < run.clients; client += 1) connections.push(await openConnection(run.url));
  const begunMs = performance.now();
  const fromMs = begunMs + run.warmupMs;
  const untilMs = fromMs + run.measureMs;
  const tookMs: number[] = [];

  async function loop(connection: Connection, client: number): Promise<void> {
    const unit = scenario.client({
      connection,
      client,
      target: run.url,
      token: pick(run.tokens, client),
      approverToken: pick(run.approverTokens, client),
      takeSubjectToken: () => {
        const { value } = subjectTokens.next();
        if (value === undefined) throw new Error('the run has used up its platform tokens: prepare more');
        return value;
      },
    });
    for (let startMs = performance.now(); startMs < untilMs; ) {
      await unit();
      const endMs = performance.now();
      if (endMs >= fromMs && endMs < untilMs) tookMs.push(endMs - startMs);
      startMs = endMs;
    }
  }

  const before = performance.eventLoopUtilization();
  await Promise.all(connections.map(loop));
  const { utilization } = performance.eventLoopUtilization(before);
  for (const connection of connections) connection.close();
  tookMs.sort((one, other) => one - other);
  return {
    perSecond: (tookMs.length * 1000) / run.measureMs,
    callsPerUnit: scenario.callsPerUnit,
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
    maxMs: quantile(tookMs, 1),
    units: tookMs.length,
    loadBusy: utilization,
  };
}

function pick(tokens: readonly string[], client: number): string {
  return tokens[client % tokens.length] ?? '';
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

if (process.send !== undefined) serve<Run>({ answer: measure, end: async () => undefined });
