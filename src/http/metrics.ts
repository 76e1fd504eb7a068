import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { createSnapshotMetrics, type SnapshotGauges, type SnapshotMetrics } from './snapshot-metrics.ts';

/** The metrics of this process, for `/metrics`. */
export interface Metrics extends SnapshotMetrics {
  decided(operation: string, effect: string): void;
  /** Counts a response of the control or audit plane. */
  answered(status: number, seconds: number): void;
  /** Counts a response of the data plane. */
  evaluated(kind: 'single' | 'bulk', status: number): void;
  /** Counts a refused call without a valid identity, by problem code. */
  turnedAway(code: string): void;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
  contentType: string;
}

interface LogState {
  bytes: number;
  blocked_ms: number;
  checkpoints: Readonly<Record<string, number>>;
}

/** The counts of one kind of streams. */
export interface StreamCounts {
  kind: string;
  open: number;
  opened: number;
  refused: number;
  cut_off: number;
}

/** Gauges that are read on each scrape. One that cannot be read is left out: monitoring needs the others most then. */
export interface Gauges {
  snapshots: SnapshotGauges;
  openRequests(): Promise<{ state: string; count: number }[]>;
  activeFreezes(): number;
  unknownOperations(): number;
  /** The calls in progress and waiting, by lane. */
  calls(): { lane: string; state: string; count: number }[];
  /** Whether the stored log is the one that was signed. */
  logIsIntact(): boolean;
  /** The write-ahead log; null if it is that of a database server. */
  wal(): LogState | null;
  /** The problem code with which writes are refused now, or null. */
  writesRefused(): Promise<string | null>;
  /** How many evaluations wait to be recorded, and how many were recorded without names or times. */
  evaluations(): { waiting: number; shortened: number };
  /** The streams of events by kind: how many are open; and ever were opened, were refused, and were cut off. */
  streams(): StreamCounts[];
  /** How many records the decision log has. */
  logSize(): Promise<number>;
}

/** From 0xx to 5xx. */
const STATUS_CLASSES = 6;

/** Creates the metrics of one broker. */
export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const decisions = new Counter({
    name: 'countersign_decisions_total',
    help: 'Recorded decisions by operation and effect.',
    labelNames: ['operation', 'effect'],
    registers,
  });
  const latency = new Histogram({
    name: 'countersign_http_request_duration_seconds',
    help: 'Response time of the control and audit plane, by status class.',
    labelNames: ['status'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  });
  // Counted apart: a labelled counter takes as long as evaluating a flag.
  const evaluations = {
    single: new Array<number>(STATUS_CLASSES).fill(0),
    bulk: new Array<number>(STATUS_CLASSES).fill(0),
  };
  new Counter({
    name: 'countersign_evaluations_total',
    help: 'Responses of the data plane by kind and status class.',
    labelNames: ['kind', 'status'],
    registers,
    collect() {
      this.reset();
      for (const kind of ['single', 'bulk'] as const) {
        for (const [hundreds, count] of evaluations[kind].entries()) {
          if (count > 0) this.inc({ kind, status: `${hundreds}xx` }, count);
        }
      }
    },
  });
  const strangers = new Counter({
    name: 'countersign_unauthenticated_total',
    help: 'Calls without a valid identity, by problem code.',
    labelNames: ['code'],
    registers,
  });
  new Gauge({
    name: 'countersign_open_requests',
    help: 'Change requests that are pending or ready.',
    labelNames: ['state'],
    registers,
    async collect() {
      const open = await gauges.openRequests().catch(() => []);
      this.reset();
      for (const { state, count } of open) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'countersign_active_freezes',
    help: 'Freezes in effect.',
    registers,
    collect() {
      this.set(gauges.activeFreezes());
    },
  });
  new Gauge({
    name: 'countersign_policy_unknown_operations',
    help: 'Operations that the active policy bundle does not know, and so denies.',
    registers,
    collect() {
      this.set(gauges.unknownOperations());
    },
  });
  new Gauge({
    name: 'countersign_calls',
    help: 'Calls of the control and audit plane that are in progress or waiting, by lane.',
    labelNames: ['lane', 'state'],
    registers,
    collect() {
      for (const { lane, state, count } of gauges.calls()) this.set({ lane, state }, count);
    },
  });
  new Gauge({
    name: 'countersign_writes_refused',
    help: 'Whether every write is refused (1) or not (0), and with which problem code, which is empty if they are not.',
    labelNames: ['code'],
    registers,
    async collect() {
      const code = await gauges.writesRefused().catch(() => 'internal_error');
      this.reset();
      this.set({ code: code ?? '' }, code === null ? 0 : 1);
    },
  });
  new Gauge({
    name: 'countersign_log_records',
    help: 'Records in the decision log, over all its epochs. It never decreases, unless an older copy was restored.',
    registers,
    async collect() {
      const size = await gauges.logSize().catch(() => null);
      if (size === null) this.remove();
      else this.set(size);
    },
  });
  new Gauge({
    name: 'countersign_log_intact',
    help: 'Whether the stored decision log is the one that was signed and published: 1, or 0, and then writes are refused.',
    registers,
    collect() {
      this.set(gauges.logIsIntact() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'countersign_evaluations_unrecorded',
    help: 'Evaluations that are counted in memory until they are recorded. It grows while the store takes no writes.',
    registers,
    collect() {
      this.set(gauges.evaluations().waiting);
    },
  });
  new Counter({
    name: 'countersign_evaluations_shortened_total',
    help: 'Evaluations that are recorded without names, or without their times, because too much was evaluated in an interval.',
    registers,
    collect() {
      this.reset();
      this.inc(gauges.evaluations().shortened);
    },
  });
  watchStreams(registers, gauges.streams);
  watchLog(registers, gauges.wal);
  return {
    ...createSnapshotMetrics(registers, gauges.snapshots),
    decided: (operation, effect) => decisions.inc({ operation, effect }),
    answered: (status, seconds) => latency.observe({ status: statusClass(status) }, seconds),
    evaluated: (kind, status) => {
      const hundreds = Math.floor(status / 100);
      const counts = evaluations[kind];
      counts[hundreds] = (counts[hundreds] ?? 0) + 1;
    },
    turnedAway: (code) => strangers.inc({ code }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function statusClass(status: number): string {
  return `${Math.floor(status / 100)}xx`;
}

function watchStreams(registers: Registry[], streams: Gauges['streams']): void {
  new Gauge({
    name: 'countersign_streams',
    help: 'Open streams of events, by kind.',
    labelNames: ['kind'],
    registers,
    collect() {
      for (const { kind, open } of streams()) this.set({ kind }, open);
    },
  });
  new Counter({
    name: 'countersign_streams_total',
    help: 'Streams of events by kind and outcome: opened, refused because there are too many, cut off because their client took no data.',
    labelNames: ['kind', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { kind, opened, refused, cut_off } of streams()) {
        for (const [outcome, count] of Object.entries({ opened, refused, cut_off }))
          this.inc({ kind, outcome }, count);
      }
    },
  });
}

function watchLog(registers: Registry[], wal: () => LogState | null): void {
  if (wal() === null) return;
  new Gauge({
    name: 'countersign_wal_bytes',
    help: 'Size of what is in the write-ahead log of the database. It is copied and begun anew at 16 MiB.',
    registers,
    collect() {
      this.set(wal()?.bytes ?? 0);
    },
  });
  new Gauge({
    name: 'countersign_wal_blocked_seconds',
    help: 'For how long the write-ahead log could not be begun anew, because another program reads the database or the disk is full.',
    registers,
    collect() {
      this.set((wal()?.blocked_ms ?? 0) / 1000);
    },
  });
  new Counter({
    name: 'countersign_wal_checkpoints_total',
    help: 'Checkpoints of the write-ahead log by outcome: done, blocked, failed.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(wal()?.checkpoints ?? {})) this.inc({ outcome }, count);
    },
  });
}
