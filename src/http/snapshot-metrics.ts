import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What is read of snapshots on each scrape. One that cannot be read is left out. */
export interface SnapshotGauges {
  /** What is published of each environment, and how old its newest snapshot's pointer may get. */
  published(): Promise<{ environment: string; version: number; behindMs: number }[]>;
  /** The relays that are connected, and how many of them serve the newest published version. */
  relays(): Promise<{ environment: string; current: number; behind: number }[]>;
  /** How many receipts are not verified, by state. */
  receipts(): Promise<{ state: string; count: number }[]>;
}

/** What is counted of snapshots. */
export interface SnapshotMetrics {
  /** A version was published, so long after the commit that made it. */
  snapshotPublished(seconds: number): void;
  /** A relay has reported. */
  relayReported(): void;
}

/** Creates the metrics of snapshots, relays and receipts. */
export function createSnapshotMetrics(registers: Registry[], gauges: SnapshotGauges): SnapshotMetrics {
  const delay = new Histogram({
    name: 'countersign_snapshot_publish_seconds',
    help: 'How long after the commit a new version of an environment was published.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers,
  });
  const reports = new Counter({
    name: 'countersign_relay_reports_total',
    help: 'Reports of relays that were taken.',
    registers,
  });
  new Gauge({
    name: 'countersign_snapshot_version',
    help: 'The version of each environment that is published.',
    labelNames: ['environment'],
    registers,
    async collect() {
      this.reset();
      for (const { environment, version } of await gauges.published().catch(() => []))
        this.set({ environment }, version);
    },
  });
  new Gauge({
    name: 'countersign_snapshot_behind_seconds',
    help: 'For how long the flags of each environment have been newer than what is published; 0 if they are not.',
    labelNames: ['environment'],
    registers,
    async collect() {
      this.reset();
      for (const { environment, behindMs } of await gauges.published().catch(() => []))
        this.set({ environment }, behindMs / 1000);
    },
  });
  new Gauge({
    name: 'countersign_relays',
    help: 'Connected relays by environment: those that serve the newest published version, and those behind it.',
    labelNames: ['environment', 'state'],
    registers,
    async collect() {
      this.reset();
      for (const { environment, current, behind } of await gauges.relays().catch(() => [])) {
        this.set({ environment, state: 'current' }, current);
        this.set({ environment, state: 'behind' }, behind);
      }
    },
  });
  new Gauge({
    name: 'countersign_receipts',
    help: 'Applied changes of flags that are not verified by reading them back, by state of their receipt.',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset();
      for (const { state, count } of await gauges.receipts().catch(() => [])) this.set({ state }, count);
    },
  });
  return { snapshotPublished: (seconds) => delay.observe(seconds), relayReported: () => reports.inc() };
}
