import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of a relay, for `/metrics`. */
export interface RelayMetrics {
  /** Counts what was evaluated, by reason. */
  evaluated(reason: string, count: number): void;
  /** Counts a response to an evaluation. */
  answered(kind: 'single' | 'bulk', status: number): void;
  /** Counts a refused call without a valid identity, by problem code. */
  turnedAway(code: string): void;
  faulted(environment: string, code: string): void;
  /** A version is served so long after it was signed. */
  propagated(environment: string, seconds: number): void;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
  contentType: string;
}

/** What is read on each scrape, of each environment. */
export interface RelayGauge {
  environment: string;
  /** Null before there is a snapshot. */
  version: number | null;
  ageS: number | null;
  isStale: boolean;
  isStreaming: boolean;
  /** How many evaluations wait to be reported. */
  waiting: number;
}

/** Creates the metrics of one relay. @param read the present state of each environment */
export function createRelayMetrics(read: () => readonly RelayGauge[]): RelayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, valueIn: (of: RelayGauge) => number | null) =>
    new Gauge({
      name: `countersign_relay_${name}`,
      help,
      labelNames: ['environment'],
      registers,
      collect() {
        this.reset();
        for (const of of read()) {
          const value = valueIn(of);
          if (value !== null) this.set({ environment: of.environment }, value);
        }
      },
    });
  gauge('snapshot_version', 'The version of the environment that is served.', ({ version }) => version);
  gauge(
    'snapshot_age_seconds',
    'How long ago the pointer to what is served was signed as that of the newest version.',
    ({ ageS }) => ageS,
  );
  gauge(
    'snapshot_stale',
    'Whether the pointer to what is served has expired (1) or not (0).',
    ({ isStale }) => (isStale ? 1 : 0),
  );
  gauge('stream_connected', 'Whether the stream of the broker is alive (1) or not (0).', ({ isStreaming }) =>
    isStreaming ? 1 : 0,
  );
  gauge(
    'evaluations_unreported',
    'Evaluations that are counted in memory until the broker has accepted their report.',
    ({ waiting }) => waiting,
  );
  // Counted apart: a labelled counter takes as long as evaluating a flag.
  const byReason = new Map<string, number>();
  new Counter({
    name: 'countersign_relay_evaluations_total',
    help: 'Evaluated flags by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of byReason) this.inc({ reason }, count);
    },
  });
  const byAnswer = new Map<number, { kind: string; count: number }[]>();
  new Counter({
    name: 'countersign_relay_answers_total',
    help: 'Responses to evaluations by kind and status.',
    labelNames: ['kind', 'status'],
    registers,
    collect() {
      this.reset();
      for (const [status, kinds] of byAnswer)
        for (const { kind, count } of kinds) this.inc({ kind, status }, count);
    },
  });
  const strangers = new Counter({
    name: 'countersign_relay_unauthenticated_total',
    help: 'Calls without a valid identity, by problem code.',
    labelNames: ['code'],
    registers,
  });
  const faults = new Counter({
    name: 'countersign_relay_faults_total',
    help: 'What kept the relay from being current, by code.',
    labelNames: ['environment', 'code'],
    registers,
  });
  const propagation = new Histogram({
    name: 'countersign_relay_propagation_seconds',
    help: 'From the signature of a new version, which says the second, to when it is served.',
    labelNames: ['environment'],
    buckets: [0.5, 1, 2, 3, 5, 10, 30, 60, 300],
    registers,
  });
  return {
    evaluated: (reason, count) => byReason.set(reason, (byReason.get(reason) ?? 0) + count),
    answered: (kind, status) => {
      const kinds = byAnswer.get(status) ?? [];
      byAnswer.set(status, kinds);
      const known = kinds.find((each) => each.kind === kind);
      if (known === undefined) kinds.push({ kind, count: 1 });
      else known.count += 1;
    },
    turnedAway: (code) => strangers.inc({ code }),
    faulted: (environment, code) => faults.inc({ environment, code }),
    propagated: (environment, seconds) => propagation.observe({ environment }, Math.max(0, seconds)),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
